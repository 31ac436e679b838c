"""Programs that stand in for the outside world on loopback: Mailchimp's Marketing API and an SMTP server.

Each is a program (`python -m tests.standins.mailchimp`, `python -m tests.standins.smtp`) and a class that a test starts
for itself. They keep state, refuse what the real service refuses, and fail on demand.
"""
