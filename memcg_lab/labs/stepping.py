"""What the labs share that go through a stream of operations, forwards and back."""

import ipywidgets as W

from ..words import number
from .boxes import Lab, whole_number_box


class SteppedLab(Lab):
    """A lab with a position in a stream, and the buttons that move it.

    A subclass has a control ``position`` made by :meth:`position_box`, puts :meth:`step_buttons` into its rows, and
    says with :meth:`landmarks` where the fourth button stops.
    """

    operations = 400  # of every traffic
    unit, walked = "operation", "Operations executed"
    landmark = "Next drain", "Go to the next drain", "no stock is drained any more"

    def position_box(self, position):
        """The control of the position; ValueError if it is not in the stream."""
        last = self.operations
        return whole_number_box("position", position, 0, last, f"{self.walked}, 0 to {last}:", "24em")

    def step_buttons(self):
        """First, Back, Next, the landmark and Last in a row."""
        name, tooltip, _ = self.landmark
        self.first = self.button("First", lambda: self._go(0), "Go to the start")
        self.back = self.button("Back", lambda: self._go(self.position.value - 1), f"One {self.unit} back")
        self.next = self.button("Next", lambda: self._go(self.position.value + 1), f"One {self.unit} on")
        self.next_landmark = self.button(name, self._go_to_landmark, tooltip)
        self.last = self.button("Last", lambda: self._go(self.operations), "Go to the end")
        return W.HBox([self.first, self.back, self.next, self.next_landmark, self.last])

    def landmarks(self, result):
        """Operations, counted from 1 and rising, at which the button of the landmark stops."""
        raise NotImplementedError

    def _go(self, position):
        self.position.value = min(max(position, 0), self.operations)

    def _go_to_landmark(self):
        here = self.position.value
        later = [k for k in self.landmarks(self.result) if k > here]
        if later:
            self._go(later[0])
        else:
            self.say(f"After {self.unit} {number(here)} {self.landmark[2]}.")
