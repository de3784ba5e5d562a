"""What MkDocs calls: formulas become MathML, which browsers draw without a script of another host."""

import re

import latex2mathml.converter

FORMULA = re.compile(r'<(span|div) class="arithmatex">\\([(\[])(.*?)\\[)\]]</\1>', re.DOTALL)


def on_page_content(html, **_):
    def drawn(found):
        tag, kind, latex = found.groups()
        latex = latex.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
        display = "inline" if kind == "(" else "block"
        return f'<{tag} class="formula">{latex2mathml.converter.convert(latex, display=display)}</{tag}>'

    return FORMULA.sub(drawn, html)
