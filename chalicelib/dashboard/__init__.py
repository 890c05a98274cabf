"""Renders the dashboard: one page that anybody may load, and panels that the page fetches with the user's token.

A panel is a piece of HTML, for example the list of loads. The server renders all HTML, and the script of the page only
inserts it. Each panel has a function in `panels`, and a template of the same name. Start with `panels`. This package
imports the packages whose figures the panels show, but not `api`.
"""
