"""A calculator that lacks features. The slots lie far apart, so that two agents' work merges."""


def add(a: int, b: int) -> int:
    return a + b


# slot of feature 1


def negate(a: int) -> int:
    return -a


def double(a: int) -> int:
    return a + a


# slot of feature 2


def is_even(a: int) -> bool:
    return a % 2 == 0


def is_odd(a: int) -> bool:
    return a % 2 == 1


# slot of feature 3


def identity(a: int) -> int:
    return a
