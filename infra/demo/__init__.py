"""`make demo`: deploys the whole platform and shows what it does. It uses only what any user has."""
