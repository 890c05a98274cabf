"""The dashboard: one page that anybody may load, and panels of HTML that it fetches with the caller's token.

Everything is rendered on the server; the page's script only moves it into place. It imports the rooms whose figures it
shows, but not `api`. A panel is a function of `panels` and the template of the same name. Start with `panels`.
"""
