"""A page as html.parser reads it: its elements with their attributes, and the text of each that has an id."""

from html.parser import HTMLParser

VOID = {"meta", "img", "br", "link", "input"}


class Page(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.elements, self.texts, self.styles, self.rows = [], {}, "", []
        self._open = []
        self.feed(text)
        self.close()
        assert self._open == [], self._open

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.elements.append((tag, attributes))
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        if tag not in VOID:
            self._open.append((tag, attributes.get("id")))

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self._open.pop()[0] == tag

    def handle_data(self, data):
        tags = [tag for tag, _ in self._open]
        if "style" in tags:
            self.styles += data
        if "td" in tags or "th" in tags:
            self.rows[-1][-1] += data
        for name in [*(name for _, name in self._open if name), "all"]:
            self.texts[name] = self.texts.get(name, "") + data

    def of(self, tag, **attributes):
        return [found for name, found in self.elements if name == tag and attributes.items() <= found.items()]

    def addresses(self):
        """Everything that a browser could fetch or lead to."""
        names = {"src", "href", "srcset", "poster", "action", "data", "xlink:href", "background", "formaction"}
        return [value for _, attributes in self.elements for name, value in attributes.items() if name in names]
