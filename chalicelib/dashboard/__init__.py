"""The dashboard: one page that anybody may load, and panels of HTML that the page fetches with the user's token.

The server renders all HTML; the script of the page only inserts it. This package imports the packages whose figures it
shows, but not `api`. A panel is a function of `panels` and the template of the same name. Start with `panels`.
"""
