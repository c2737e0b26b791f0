"""The base of every lab: settings around a pure computation, with a sentence, a picture and a table of its result.

Python owns what a lab is; its front end (``labs/stage``) draws and moves. In a notebook the two talk through one
widget: the settings are a synced dict, what the front end wants to know it asks, and Python answers.
"""

import base64
import functools
import html
import inspect
import json
import pathlib
import uuid

import anywidget
import traitlets

from .. import labs
from ..checks import one_of, shown, whole_number
from ..course import notes
from ..figures.base import folded, image_html, mounted
from ..files import TWICE, once

LIVE = "Run this cell to make it live."
STILL = "It is live in a notebook, and in a browser with JavaScript; without, this stays."  # in a page: no cell to run
STAGE = pathlib.Path(__file__).parent / "stage"
KERNEL = STAGE.parents[1] / "web" / "kernel.js"
SCRIPTS = (
    KERNEL,
    STAGE / "parts.js",
    STAGE / "stage.js",
    STAGE / "time.js",
    STAGE / "trace.js",
    STAGE / "charts.js",
    STAGE / "puzzle.js",
    STAGE / "room.js",
    STAGE / "labs.js",
    STAGE / "notebook.js",
)
STYLES = (STAGE / "stage.css", STAGE / "charts.css", STAGE / "puzzle.css")


@functools.cache
def front_end(scripts=SCRIPTS):
    """The front end as one script: its files behind each other, with their styles as a text in it."""
    style = json.dumps("".join(path.read_text(encoding="utf-8") for path in STYLES))
    parts = [path.read_text(encoding="utf-8").replace("\nexport ", "\n") for path in scripts]
    return "\n".join([*parts, f"const STYLE = {style};"])


class Lab(anywidget.AnyWidget):
    """Settings around a pure computation. A subclass says what is computed; the base does the wiring.

    A subclass gives ``check``, ``compute``, ``figure``, ``sentence`` and ``table``; for its front end ``data`` and
    ``answer``.

    Parameters
    ----------
    **settings
        The first value of each setting.

    Attributes
    ----------
    result : object
        What ``compute`` gave for the settings shown.
    message : str
        What the status line says.

    Notes
    -----
    Where the front end asks for what cannot be, it is told so in a sentence, and the last good settings stay.
    """

    _esm = front_end() + "\nexport default { initialize, render };"
    lab = traitlets.Unicode().tag(sync=True)  # its name: what draws it
    live = traitlets.Unicode().tag(sync=True)  # what its pictures in a notebook are marked with
    chosen = traitlets.Dict().tag(sync=True)  # the settings

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
        self._refused = ""
        self._adopt(settings)
        super().__init__(lab=type(self).__name__, live=uuid.uuid4().hex, chosen=self._settings)
        self.observe(self._changed, "chosen")
        self.on_msg(self._heard)

    # --- what a subclass says ---------------------------------------------------------------------------------------
    def check(self, settings):
        """The settings, if all are allowed; ValueError if one is not."""
        raise NotImplementedError

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

    def data(self):
        """What the front end has to know before it draws: lists, dicts, text and numbers."""
        return {}

    def answer(self, question):
        """What the front end asks: a dict, as JSON has it. ``"blobs"`` in the answer may be a list of bytes."""
        raise ValueError(f"{type(self).__name__} answers no question such as {shown(question.get('ask'))}.")

    def beside(self):
        """What a text of this lab may hold besides its settings: whole numbers, each with the highest it may be."""
        return {}

    # --- what a reader uses -----------------------------------------------------------------------------------------
    @property
    def message(self):
        """What the status line says."""
        return self._refused or self.sentence(self.result)

    def settings(self):
        """The settings by name."""
        return dict(self._settings)

    def told(self):
        """The settings that say what this lab is; a subclass may leave out what is so without being said."""
        return self.settings()

    def code_line(self):
        """The line of Python that makes this lab with these settings."""
        told = ", ".join(f"{name}={_quoted(value)}" for name, value in self.told().items())
        return f"{type(self).__name__}({told})"

    def set(self, **values):
        """Change several settings at once; the lab answers once.

        Raises
        ------
        ValueError
            If there is no such setting, or a value is not allowed. The lab is unchanged.
        """
        self._adopt(self._merged(values))
        self.chosen = self._settings

    def to_json(self):
        """Give this lab as one line of JSON, which its front end reads and writes too.

        Examples
        --------
        >>> from memcg_lab import MeasureLab
        >>> MeasureLab(seconds=5).to_json()
        '{"lab": "MeasureLab", "settings": {"seconds": 5}}'
        """
        return json.dumps({"lab": type(self).__name__, "settings": self.told()}, ensure_ascii=False)

    @classmethod
    def from_json(cls, text):
        """The lab that such a text tells of: of this class, or of any if this is the base.

        Parameters
        ----------
        text : str
            What :meth:`to_json` gave, or the button "Copy as JSON". A setting that is not named gets its first value.

        Returns
        -------
        Lab

        Raises
        ------
        ValueError
            If it is no such text, is of another lab, has a field that this lab does not know, or a setting is not
            allowed.

        Examples
        --------
        >>> from memcg_lab.labs import Lab
        >>> Lab.from_json('{"lab": "MeasureLab", "settings": {"seconds": 5}}').settings()
        {'seconds': 5}
        """
        try:
            told = json.loads(text, object_pairs_hook=once)
        except (TypeError, ValueError, RecursionError) as error:
            what = f"no JSON to read: {TWICE}" if str(error) == TWICE else "no JSON"
            raise ValueError(f"{shown(text)} is {what}; it must be what to_json() gave.") from None
        if not isinstance(told, dict) or not isinstance(told.get("settings"), dict):
            raise ValueError('this is no lab; it must be {"lab": name, "settings": {...}}.')
        for name in labs.NAMES:
            getattr(labs, name)  # loads it
        known = {lab.__name__: lab for lab in _labs() if issubclass(lab, cls) or issubclass(cls, lab)}
        made = known[one_of("lab", told.get("lab"), known)](**told["settings"])
        beside = made.beside()
        for name, value in told.items():
            if name in beside:
                whole_number(name, value, 0, beside[name])
            elif name not in ("lab", "settings"):
                raise ValueError(
                    f"{shown(name)} is no field of a lab's JSON; there are {', '.join(['lab', 'settings', *beside])}."
                )
        return made

    def to_html(self):
        """What a reader without a kernel sees: picture, sentence and numbers, not moving."""
        figure = self.figure(self.result)
        settings = html.escape(json.dumps(self.told()))
        mark = f' data-memcg-live="{self.live}"' if mounted() else ""
        return (
            f'<figure data-memcg-lab="{type(self).__name__}" data-settings="{settings}"{mark} style="margin:0">'
            f"{image_html(figure.png(), figure.sentence)}"
            f"<figcaption>{html.escape(self.sentence(self.result))} {LIVE}</figcaption>"
            f"{folded(self.table(self.result))}</figure>"
        )

    def __repr__(self):
        return f"{type(self).__name__}: {self.sentence(self.result)}"

    def _repr_mimebundle_(self, include=None, exclude=None, **options):
        picture = base64.b64encode(self.figure(self.result).png()).decode("ascii")
        still = {"text/plain": repr(self), "text/html": self.to_html(), "image/png": picture}
        if mounted():
            return still
        data = super()._repr_mimebundle_() or {}
        return dict(data[0] if isinstance(data, tuple) else data) | still

    # --- wiring -----------------------------------------------------------------------------------------------------
    def _merged(self, values):
        for name in values:
            if name not in self._settings:
                raise ValueError(f"{shown(name)} is no setting of this lab; there are {', '.join(self._settings)}.")
        return self._settings | values

    def _adopt(self, settings):
        """Take settings and compute; nothing changes if that does not work."""
        checked = self.check(settings)
        self.result = self.compute(checked)
        self._settings = checked
        self._refused = ""

    def _changed(self, change):
        """The front end has chosen."""
        if change["new"] == self._settings:
            return
        try:
            self._adopt(self._merged(change["new"]))
        except Exception as error:
            self._refused = failed(error)
            self.send({"say": self._refused})
        self.chosen = self._settings

    def _heard(self, widget, content, buffers):
        """The front end asks: {"id", "question"}; it gets {"id", "answer"}."""
        blobs = []
        try:
            question = content["question"]
            ask = question.get("ask")
            told = self._found(question) if ask == "found" else self._data() if ask == "data" else self.answer(question)
            told = dict(told)
            blobs = told.pop("blobs", [])
        except Exception as error:
            told = {"error": failed(error)}
        self.send({"id": content.get("id"), "answer": told}, blobs)

    def _data(self):
        """What the front end has to know, and of each thing to find how it was found, if it was."""
        data, kept = dict(self.data()), notes.recall("quests")
        told = [kept.get(f"{type(self).__name__}.{quest['name']}") for quest in data.get("quests", ())]
        if any(isinstance(text, str) for text in told):
            pairs = zip(data["quests"], told, strict=True)
            data["quests"] = [quest | ({"told": text} if isinstance(text, str) else {}) for quest, text in pairs]
        return data

    def _found(self, question):
        """A reader has found one of the things to find; it is written down."""
        notes.remember("quests", f"{type(self).__name__}.{question['name']}", str(question["told"]))
        return {}


def _labs(of=Lab):
    """Every class that is a lab, a reader's own too.

    traitlets makes one more of each instance, which has no picture of its own.
    """
    return [lab for sub in of.__subclasses__() for lab in [sub] * ("figure" in vars(sub)) + _labs(sub)]


def failed(what):
    """What a lab says when something went wrong; the last good view stays."""
    what = str(what).strip() or "an unknown error"
    return f"That did not work: {what.rstrip('.')}. The lab still shows the last settings that did."


def _quoted(value):
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)
