"""Sharing: people who join a membership, two memberships that become one, people who leave; and taking it back."""
