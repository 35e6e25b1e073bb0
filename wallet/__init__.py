"""The wallet library, headless: keys, purse, offline protocol, sync, scenarios."""
