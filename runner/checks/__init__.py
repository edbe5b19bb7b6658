"""What a sweep needs of the machine, looked at before it may cost anything."""
