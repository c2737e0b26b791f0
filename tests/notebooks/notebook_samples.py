"""Small notebooks for the tests of the notebook tools."""

import base64
import io

import nbformat

from tools.notebooks import WIDGET_VIEW, normalise


def png(bar=20):
    """A small base64 PNG: a black bar, ``bar`` pixels high, on white."""
    from PIL import Image

    picture = Image.new("RGB", (120, 60), "white")
    picture.paste("black", (30, 60 - bar, 90, 60))
    file = io.BytesIO()
    picture.save(file, format="png")
    return base64.b64encode(file.getvalue()).decode()


def figure(sentence="Bar chart: the root takes 621.", bar=20):
    """The data of a figure's output."""
    picture = f'<img alt="{sentence}" src="data:image/png;base64,{png(bar)}">'
    table = "<details><summary>Data table</summary><table><tr><td>621</td></tr></table></details>"
    return {
        "text/plain": sentence,
        "text/html": f"<figure>{picture}<figcaption>{sentence}</figcaption>{table}</figure>",
    }


def lab(sentence="A lab: 12 pages in a batch.", bar=30):
    """The data of a lab's output."""
    return {"text/plain": sentence, "image/png": png(bar), WIDGET_VIEW: {"model_id": "0" * 32}}


def notebook(*cells):
    return nbformat.v4.new_notebook(cells=list(cells))


def result(data, count=1):
    return nbformat.v4.new_output("execute_result", data=dict(data), execution_count=count)


def printed(text):
    return nbformat.v4.new_output("stream", name="stdout", text=text)


def markdown(source):
    return nbformat.v4.new_markdown_cell(source)


def code(source, *outputs, tags=(), reason=None, count=1):
    metadata = {"tags": list(tags)} if tags else {}
    if reason:
        metadata["memcg_lab"] = {"reason": reason}
    return nbformat.v4.new_code_cell(source, outputs=list(outputs), metadata=metadata, execution_count=count)


TIMING = ("timing", "nbval-ignore-output")


def good_notebook():
    """A notebook with every part of the anatomy and nothing wrong; file name 01_a_start.ipynb."""
    cells = [
        markdown("# 01 · A start\n\n[Contents](01_a_start.ipynb)"),
        markdown(
            "**You will be able to**\n\n- count atomics;\n- say why\n\n"
            "**Before you start:** nothing.\n\n**Time:** 25 minutes, and 10 for practice."
        ),
        code("import math\n\nBATCH = 32"),
        markdown("## Predict\n\nHow many in a [batch](../docs/glossary.md#batch)? With $n = 2$, `x != y`."),
        code("predict('01.rows', rows=None)", printed("No prediction yet.\n"), tags=["predict"]),
        markdown("## Run\n\n" + "word " * 1700),
        code("reveal('01.rows', rows=3)\nshow(621)", result(figure())),
        code("Lab(12)", result(lab())),
        code("measure()", printed("0.12 s\n"), tags=TIMING, reason="a measured time"),
        markdown("### Checkpoint\n\nWhy?\n\n<details>\n<summary>Answer</summary>\n\nBecause.\n\n</details>"),
        code("check('01.1', None)", printed("Not yet: no answer.\n"), tags=["exercise"]),
        code("total(10)", result({"text/plain": "10,313 atomics"})),
        markdown(
            "## Three things to remember\n\n- one\n- two,\n  and more of it\n- three\n\n"
            "## Next\n\nThe rest.\n\n## References\n\n- a book"
        ),
    ]
    return normalise(notebook(*cells))
