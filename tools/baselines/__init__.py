"""Classical registration, scored as a bundle is: fair opponents for the networks.

An engine is a module here with ``PACKAGE`` (what pip calls it), a frozen dataclass ``Settings`` whose defaults are
tuned, ``load()``, which imports what it needs, and ``register(moving, fixed, settings)``, which returns the field.
Importing it imports nothing heavy, so that the program can tell its settings.
"""

NAMES = ("undeformed", "elastix", "ants", "greedy", "demons")
