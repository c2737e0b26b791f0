"""A form in a notebook: one widget that carries what is said to Python, and what Python answers back."""

import contextlib
import functools
import html
import io
import json
import pathlib
import uuid

import anywidget
import traitlets

from ..figures.base import mounted

HERE = pathlib.Path(__file__).parent


@functools.cache
def front_end(*names):
    """Scripts of this folder behind each other, as one."""
    return "\n".join((HERE / name).read_text(encoding="utf-8").replace("\nexport ", "\n") for name in names)


class Form(anywidget.AnyWidget):
    """A small form in the place of a text that asks.

    Parameters
    ----------
    text : str
    form : dict
        See :func:`memcg_lab.course.asking.show`.
    answer : callable
    """

    _esm = front_end("form.js", "form_notebook.js") + "\nexport default { initialize, render };"
    live = traitlets.Unicode().tag(sync=True)  # what its texts in a notebook are marked with
    form = traitlets.Dict().tag(sync=True)

    def __init__(self, text, form, answer):
        super().__init__(live=uuid.uuid4().hex, form=form)
        self._text, self._answer = text, answer
        self.on_msg(self._heard)

    def __repr__(self):
        return self._text

    def to_html(self):
        """What a reader without a kernel sees: the text."""
        mark = f' data-memcg-live="{self.live}"' if mounted() else ""
        form = html.escape(json.dumps(self.form))
        text = f'<pre style="white-space:pre-wrap;margin:0">{html.escape(self._text)}</pre>'
        return f'<div data-memcg-form="{form}"{mark}>{text}</div>'

    def _repr_mimebundle_(self, include=None, exclude=None, **options):
        still = {"text/plain": self._text, "text/html": self.to_html()}
        if mounted():
            return still
        data = super()._repr_mimebundle_() or {}
        return dict(data[0] if isinstance(data, tuple) else data) | still

    def _heard(self, widget, content, buffers):
        """The reader has answered: {"id", "values"}; the page gets {"id", "told", "field"}."""
        told, field = io.StringIO(), None
        try:
            with contextlib.redirect_stdout(told):
                field = self._answer({str(name): str(value) for name, value in content["values"].items()})
        except Exception as error:
            told.write(f"That did not work: {error}")
        self.send({"id": content.get("id"), "told": told.getvalue().strip(), "field": field})
