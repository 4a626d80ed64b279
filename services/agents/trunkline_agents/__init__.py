"""The agent workers: they host agents, the built-in ones among them."""
