"""What MkDocs calls: formulas become MathML, which browsers draw without a script of another host, and a page
in another language says so, for readers' voices and fonts."""

import re

import latex2mathml.converter

FORMULA = re.compile(r'<(span|div) class="arithmatex">\\([(\[])(.*?)\\[)\]]</\1>', re.DOTALL)


def on_page_content(html, page, **_):
    def drawn(found):
        tag, kind, latex = found.groups()
        latex = latex.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
        display = "inline" if kind == "(" else "block"
        return f'<{tag} class="formula">{latex2mathml.converter.convert(latex, display=display)}</{tag}>'

    html = FORMULA.sub(drawn, html)
    language = re.search(r"\.([a-z]{2})\.md$", page.file.src_uri)
    return f'<div lang="{language[1]}">{html}</div>' if language else html
