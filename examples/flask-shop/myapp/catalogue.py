"""What the shop sells when its database is new."""

from __future__ import annotations

#: id (also the picture's file name), name, text, price in euro cents, stock
PRODUCTS: tuple[tuple[str, str, str, int, int], ...] = (
    ("lantern", "Storm lantern", "Burns for twenty hours and shrugs at a gale.", 4200, 18),
    ("rope", "Mooring line", "Ten metres of three-strand, spliced by hand.", 2650, 40),
    ("compass", "Pocket compass", "Brass, liquid-filled, steady in a swell.", 5800, 12),
    ("mug", "Enamel mug", "Chips before it breaks. Keeps the tea warm.", 1400, 60),
    ("ring", "Life ring", "Cork and canvas, for the wall or the worst.", 6900, 9),
    ("bell", "Dinner bell", "Rings the half hours, and calls all hands.", 8450, 6),
    ("float", "Glass float", "Drifted in from the north. No two are alike.", 3300, 15),
    ("flags", "Signal flags", "Four letters of cotton. Spell something nice.", 2975, 24),
)
