"""Laws: their functional forms, their files, and what can be done with them besides planning."""

DEFAULT_LAW = "frantar2023-t5-c4-refit"
"""The law that answers where none is named: one with draws, so that every answer has an interval."""
