"""How often things happen by themselves. The schedules and the texts of this code follow these lines.

The README, the pages of docs/ and the templates of AWS repeat them in words: a test says which sentence has to change.
"""

BACKUP_MINUTES = 3
SWEEP_MINUTES = 3  # also between two looks at the gauges
VERIFY_DAYS = 1

_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")


def minutes_in_words(count: int) -> str:
    """`three minutes`; digits above twelve."""
    number = _NUMBERS[count] if count < len(_NUMBERS) else str(count)
    return f"{number} minute{'' if count == 1 else 's'}"
