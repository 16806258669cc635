"""Telling others of alerts: webhooks, e-mail and chat, tried again for hours where they do not answer."""
