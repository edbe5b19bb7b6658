"""The rehearsal: a double of the `cooperbench` program.

The same command line, the same files and much the same console output, with recorded
durations and costs instead of agents: no Docker, no key, no money. Standard library only,
and light, because a sweep starts it hundreds of times.
"""
