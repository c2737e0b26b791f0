"""The base of the labs that still stand on ipywidgets: it goes with the last."""

import base64
import html
import inspect

import ipywidgets as W

from ..checks import one_of, shown, whole_number
from ..figures.base import folded, image_html, table_html

LIVE = "Run this cell to make it live."
WIDE = {"description_width": "initial"}


class Lab(W.VBox):
    """Controls around a pure computation. A subclass says what is computed; the base does the wiring.

    A subclass gives ``make_controls``, ``compute``, ``figure``, ``sentence`` and ``table``, and may give ``view`` (HTML
    above the picture), ``overlay`` (cheap HTML over the picture), ``picture_of`` (the settings the picture depends on)
    and ``picture_html`` (the live picture, if it is not the figure's own).

    Parameters
    ----------
    **settings
        The first value of each control.

    Attributes
    ----------
    controls : dict of str to Widget
        The widgets whose values are the settings; each is also an attribute of the lab.
    message : str
        What the status line says.
    result : object
        What ``compute`` gave for the settings shown.

    Notes
    -----
    An error in a callback becomes a sentence in the status line; the last good view stays.
    """

    picture_height = 300  # pixels, so that nothing jumps

    def __new__(cls, *positional, **settings):
        """A lab, unless a setting is none of its own."""
        known = inspect.signature(cls.__init__)
        try:
            known.bind(None, *positional, **settings)
        except TypeError as error:
            names = ", ".join(list(known.parameters)[1:])
            raise ValueError(f"{cls.__name__}: {error}; its settings are {names}, given by name.") from None
        return super().__new__(cls, *positional, **settings)

    def __init__(self, **settings):
        self.controls = self.make_controls(**settings)
        self._first = self.settings()
        self._quiet = False
        self._drawn = None
        self.message = ""
        self.result = None
        for name, control in self.controls.items():
            setattr(self, name, control)
            control.observe(self._changed, names="value")
        self.status = W.HTML(layout=W.Layout(min_height="3.2em"))
        self.screen = W.HTML()
        place = W.Layout(grid_area="1 / 1 / 2 / 2", margin="0", width="720px")
        self.picture, self.cursor = W.HTML(layout=place), W.HTML(layout=place)
        self.show_numbers = W.Checkbox(description="Show the numbers", indent=False, layout=W.Layout(width="auto"))
        self.show_numbers.observe(self._changed, names="value")
        self.numbers = W.HTML()
        self.reset = self.button("Reset", self._reset, "Set every control to its first value")
        self.copy_settings = self.button("Copy settings", self._show_code, "Show the line of code that makes this lab")
        self.code = W.Text(
            description="This line makes the same lab again:",
            style=WIDE,
            layout=W.Layout(width="auto", visibility="hidden"),
        )
        drawing = W.GridBox(
            [self.picture, self.cursor], layout=W.Layout(min_height=f"{self.picture_height}px", overflow="auto hidden")
        )
        super().__init__(
            [
                *self.rows(),
                self.status,
                self.screen,
                drawing,
                self.show_numbers,
                self.numbers,
                W.HBox([self.reset, self.copy_settings]),
                self.code,
            ]
        )
        self._update()

    # --- what a subclass says ---------------------------------------------------------------------------------------
    def make_controls(self, **settings):
        """Validate the settings and return the control widgets by name; ValueError if a setting is not allowed."""
        raise NotImplementedError

    def rows(self):
        """The controls as they stand above the status line, in reading order."""
        return list(self.controls.values())

    def compute(self, settings):
        """The result for some settings; it changes nothing."""
        raise NotImplementedError

    def figure(self, result=None):
        """The picture of a result, a ``figures.Figure``."""
        raise NotImplementedError

    def sentence(self, result=None):
        """A result in words."""
        raise NotImplementedError

    def table(self, result=None):
        """A result in numbers, a DataFrame."""
        raise NotImplementedError

    def view(self, result=None):
        """More HTML, shown above the picture."""
        return ""

    def overlay(self, result=None):
        """HTML over the picture that changes with every setting; cheap."""
        return ""

    def picture_of(self, settings):
        """What of the settings the picture depends on; it is drawn anew only when this changes."""
        return tuple(settings.items())

    def drawing(self, result):
        """The picture in the live lab; what :meth:`overlay` shows is left out."""
        return self.figure(result)

    def picture_html(self, result):
        """The HTML of that picture; a lab that draws it anew with every move gives a ``sketch`` instead."""
        figure = self.drawing(result)
        return image_html(figure.png(), figure.sentence, ' width="720"')

    # --- what a reader uses -----------------------------------------------------------------------------------------
    def settings(self):
        """The values of the controls by name."""
        return {name: control.value for name, control in self.controls.items()}

    def code_line(self):
        """The line of Python that makes this lab with these settings."""
        told = ", ".join(f"{name}={_quoted(value)}" for name, value in self.settings().items())
        return f"{type(self).__name__}({told})"

    def set(self, **values):
        """Change several settings at once; the lab answers once.

        Raises
        ------
        ValueError
            If there is no such setting.
        """
        for name in values:
            if name not in self.controls:
                raise ValueError(f"{shown(name)} is no setting of this lab; there are {', '.join(self.controls)}.")
        self._quiet = True
        try:
            for name in self.controls:  # in their order: one may set the range of a later one
                if name in values:
                    self.controls[name].value = values[name]
        finally:
            self._quiet = False
        self._update()

    def to_html(self):
        """What a reader without a kernel sees: view, picture, sentence and numbers, not moving."""
        figure = self.figure(self.result)
        return (
            f"<figure>{self.view(self.result)}{image_html(figure.png(), figure.sentence)}"
            f"<figcaption>{html.escape(self.sentence(self.result))} {LIVE}</figcaption>"
            f"{folded(self.table(self.result))}</figure>"
        )

    def __repr__(self):
        return f"{type(self).__name__}: {self.sentence(self.result)}"

    def _repr_mimebundle_(self, include=None, exclude=None, **options):
        data = super()._repr_mimebundle_(include=include, exclude=exclude, **options) or {}
        data = dict(data[0] if isinstance(data, tuple) else data)
        picture = base64.b64encode(self.figure(self.result).png()).decode("ascii")
        return data | {"text/plain": repr(self), "text/html": self.to_html(), "image/png": picture}

    # --- wiring -----------------------------------------------------------------------------------------------------
    def button(self, description, action, tooltip=""):
        """A button whose errors end in the status line."""
        button = W.Button(description=description, tooltip=tooltip, layout=W.Layout(width="auto"))
        button.on_click(lambda _: self._guarded(action))
        return button

    def say(self, message):
        """Put a sentence into the status line."""
        self.message = message
        self.status.value = f'<div role="status" aria-live="polite">{html.escape(message)}</div>'

    def _changed(self, change):
        if not self._quiet:
            self._guarded(self._update)

    def _guarded(self, action):
        try:
            action()
        except Exception as error:
            self.say(failed(error))

    def _update(self):
        settings = self.settings()
        result = self.compute(settings)
        screen, overlay, message = self.view(result), self.overlay(result), self.sentence(result)
        drawn = self.picture_of(settings)
        if drawn != self._drawn:
            self.picture.value = self.picture_html(result)
            self._drawn = drawn
        self.result = result
        self.numbers.value = table_html(self.table(result)) if self.show_numbers.value else ""
        self.screen.value, self.cursor.value = screen, overlay
        self.say(message)
        if self.code.layout.visibility != "hidden":
            self.code.value = self.code_line()

    def _reset(self):
        self.set(**self._first)

    def _show_code(self):
        self.code.value = self.code_line()
        self.code.layout.visibility = "visible"


def failed(what):
    """What a lab says when something went wrong; the last good view stays."""
    what = str(what).strip() or "an unknown error"
    return f"That did not work: {what.rstrip('.')}. The lab still shows the last settings that did."


def _quoted(value):
    return f'"{value}"' if isinstance(value, str) else repr(value)


def whole_number_box(name, value, low, high, description, width="22em"):
    """A box for a whole number with its full description; ValueError if the value is not in the range."""
    return W.BoundedIntText(
        value=whole_number(name, value, low, high),
        min=low,
        max=high,
        description=description,
        style=WIDE,
        layout=W.Layout(width=width),
    )


def choice(name, value, options, description, width="42em"):
    """A list to choose from with its full description; ValueError if the value is not in it."""
    return W.Dropdown(
        value=one_of(name, value, options),
        options=list(options),
        description=description,
        style=WIDE,
        layout=W.Layout(width=width),
    )
