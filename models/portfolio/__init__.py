"""The account book: integer lots, exact money, reservations."""
