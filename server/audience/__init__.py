"""The Mailchimp audience: one live contact a person, kept in step with what is true here."""
