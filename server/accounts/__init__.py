"""Accounts: how a person gets and keeps an account: sign-up, forgotten passwords, invitations, the own profile."""
