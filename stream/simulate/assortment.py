"""The words of the shop: categories, kinds of goods with their usual price, brands.

Everything here is invented or generic. ``goes_with`` is what people buy together; the shoppers
feel it as utility, and the co-occurrence model has to find it out.
"""

from __future__ import annotations

from typing import NamedTuple


class GoodsKind(NamedTuple):
    """A kind of goods: its usual price in minor units, and whether it is used up in ``days``."""

    name: str
    category: str
    price: int
    lasts_days: int
    goes_with: tuple[str, ...]


class Brand(NamedTuple):
    """A brand; ``tier`` multiplies the usual price, and stands for quality."""

    name: str
    tier: float


_LONG = 720  # days that a durable satisfies the wish for its kind

# category: (kind, price in euros, days that it lasts, goes with)
_SHELVES: dict[str, tuple[tuple[str, int, int, str], ...]] = {
    "Coffee": (
        ("Espresso Machine", 260, _LONG, "Coffee Grinder, Coffee Beans, Descaler"),
        ("Coffee Grinder", 95, _LONG, "Coffee Beans, Kitchen Scale"),
        ("Coffee Beans", 16, 14, "Paper Filters, Travel Mug"),
        ("Travel Mug", 24, 300, "Coffee Beans"),
        ("Paper Filters", 6, 30, "Coffee Beans"),
        ("Descaler", 9, 60, "Coffee Beans"),
    ),
    "Kitchen": (
        ("Chef's Knife", 65, _LONG, "Cutting Board, Knife Sharpener"),
        ("Cutting Board", 28, 500, "Chef's Knife"),
        ("Knife Sharpener", 32, _LONG, "Chef's Knife"),
        ("Frying Pan", 48, 600, "Silicone Spatula, Cookbook"),
        ("Silicone Spatula", 9, 300, "Frying Pan"),
        ("Kitchen Scale", 22, _LONG, "Cookbook"),
    ),
    "Outdoor": (
        ("Two-Person Tent", 190, _LONG, "Sleeping Bag, Camping Mat, Head Torch"),
        ("Sleeping Bag", 85, _LONG, "Camping Mat, Two-Person Tent"),
        ("Camping Mat", 45, 600, "Sleeping Bag"),
        ("Camping Stove", 55, _LONG, "Gas Cartridge, Head Torch"),
        ("Gas Cartridge", 7, 30, "Camping Stove"),
        ("Head Torch", 34, 500, "Rechargeable Batteries"),
        ("Trekking Backpack", 120, _LONG, "Drinking Bottle, Sleeping Bag"),
    ),
    "Cycling": (
        ("Bike Helmet", 60, _LONG, "Bike Lights, Bike Lock"),
        ("Bike Lights", 35, 500, "Bike Helmet, Rechargeable Batteries"),
        ("Bike Lock", 50, _LONG, "Bike Lights, Pannier Bag"),
        ("Pannier Bag", 75, _LONG, "Bike Lock"),
        ("Inner Tube", 6, 120, "Tyre Levers, Floor Pump"),
        ("Tyre Levers", 5, 500, "Inner Tube"),
        ("Floor Pump", 38, _LONG, "Inner Tube"),
    ),
    "Running": (
        ("Running Shoes", 110, 200, "Running Socks, Energy Gels"),
        ("Running Socks", 14, 120, "Running Shoes"),
        ("Running Jacket", 80, 400, "Running Tights"),
        ("Running Tights", 45, 300, "Running Jacket"),
        ("Energy Gels", 12, 21, "Drinking Bottle"),
        ("Drinking Bottle", 15, 300, "Energy Gels"),
    ),
    "Home Office": (
        ("Desk Lamp", 55, _LONG, "Office Chair"),
        ("Office Chair", 230, _LONG, "Footrest, Desk Lamp"),
        ("Footrest", 35, _LONG, "Office Chair"),
        ("Mechanical Keyboard", 90, _LONG, "Wireless Mouse, Wrist Rest"),
        ("Wireless Mouse", 40, 500, "Mouse Mat, Mechanical Keyboard"),
        ("Wrist Rest", 18, 500, "Mechanical Keyboard"),
        ("Mouse Mat", 12, 500, "Wireless Mouse"),
    ),
    "Audio": (
        ("Headphones", 130, 600, "Headphone Stand, Audio Cable"),
        ("Headphone Stand", 22, _LONG, "Headphones"),
        ("Earbuds", 70, 400, "Earbud Case"),
        ("Earbud Case", 12, 400, "Earbuds"),
        ("Turntable", 210, _LONG, "Record Brush, Bookshelf Speakers"),
        ("Record Brush", 14, 500, "Turntable"),
        ("Bookshelf Speakers", 180, _LONG, "Audio Cable, Turntable"),
        ("Audio Cable", 11, 300, "Headphones"),
    ),
    "Garden": (
        ("Pruning Shears", 28, _LONG, "Garden Gloves"),
        ("Garden Gloves", 9, 150, "Pruning Shears, Potting Soil"),
        ("Potting Soil", 10, 45, "Flower Seeds, Plant Pot"),
        ("Flower Seeds", 4, 45, "Potting Soil, Watering Can"),
        ("Plant Pot", 15, 200, "Potting Soil"),
        ("Watering Can", 20, _LONG, "Flower Seeds"),
    ),
    "Baby": (
        ("Baby Carrier", 95, _LONG, "Muslin Cloths"),
        ("Nappies", 19, 10, "Baby Wipes"),
        ("Baby Wipes", 5, 10, "Nappies"),
        ("Muslin Cloths", 15, 120, "Nappies, Baby Carrier"),
        ("Night Light", 24, _LONG, "Rechargeable Batteries"),
        ("Play Mat", 50, _LONG, "Wooden Rattle"),
        ("Wooden Rattle", 12, 300, "Play Mat"),
    ),
    "Books and Games": (
        ("Board Game", 38, 90, "Card Sleeves, Puzzle"),
        ("Card Sleeves", 6, 120, "Board Game"),
        ("Puzzle", 18, 60, "Puzzle Mat"),
        ("Puzzle Mat", 25, _LONG, "Puzzle"),
        ("Cookbook", 27, 60, "Frying Pan, Kitchen Scale"),
        ("Novel", 13, 20, "Reading Light"),
        ("Reading Light", 16, 500, "Novel"),
    ),
    "Care": (
        ("Face Cream", 22, 40, "Cleansing Gel, Sun Cream"),
        ("Cleansing Gel", 11, 40, "Face Cream"),
        ("Sun Cream", 14, 60, "Face Cream"),
        ("Shampoo", 8, 30, "Conditioner"),
        ("Conditioner", 9, 30, "Shampoo"),
        ("Safety Razor", 35, _LONG, "Razor Blades, Shaving Soap"),
        ("Razor Blades", 8, 40, "Shaving Soap"),
        ("Shaving Soap", 10, 60, "Razor Blades"),
    ),
    "Pets": (
        ("Dog Bed", 55, 500, "Dog Food, Chew Toy"),
        ("Dog Food", 32, 20, "Dog Treats"),
        ("Dog Treats", 6, 14, "Dog Food"),
        ("Chew Toy", 9, 60, "Dog Treats"),
        ("Cat Tree", 85, _LONG, "Cat Food, Cat Toy"),
        ("Cat Food", 24, 20, "Cat Litter"),
        ("Cat Litter", 13, 20, "Cat Food"),
        ("Cat Toy", 7, 60, "Cat Food"),
    ),
    "Fashion": (
        ("Wool Jumper", 75, 200, "Scarf"),
        ("Scarf", 28, 300, "Wool Jumper, Rain Jacket"),
        ("Rain Jacket", 105, 500, "Scarf"),
        ("Jeans", 70, 180, "Leather Belt, T-Shirt"),
        ("Leather Belt", 35, 500, "Jeans"),
        ("T-Shirt", 20, 60, "Jeans"),
    ),
    "Photo": (
        ("System Camera", 620, _LONG, "Camera Bag, Memory Card, Prime Lens"),
        ("Prime Lens", 320, _LONG, "Lens Filter, Lens Cloth"),
        ("Lens Filter", 36, 500, "Lens Cloth"),
        ("Lens Cloth", 7, 200, "Lens Filter"),
        ("Tripod", 90, _LONG, "System Camera"),
        ("Camera Bag", 60, _LONG, "Memory Card"),
        ("Memory Card", 28, 200, "Camera Bag"),
        ("Rechargeable Batteries", 17, 150, "Head Torch"),
    ),
}

_BRANDS = (
    "Alderway 1.0, Brimfold 0.75, Calvero 1.25, Dunmoss 0.9, Eskola 1.1, Fennimar 0.7, "
    "Grovane 1.0, Halvik 1.35, Ivernia 1.9, Jorrund 0.8, Kestane 1.15, Lumarel 2.1, Mirrowen 1.0, "
    "Nordhage 1.5, Orlanda 0.85, Pellwick 0.65, Quillon 1.2, Rivanna 0.95, Sorrelby 1.7, "
    "Tavistane 1.05, Umberley 0.9, Vessmark 1.4, Wrenfield 0.8, Yarrowby 1.3"
)

_LINES = (
    "Alto Amber Arbor Aster Basalt Birch Breva Cairn Cedar Cinder Cobalt Copper Coral Crest "
    "Delta Drift Dune Echo Ember Fable Fern Fjord Flint Gale Glade Grain Harbour Haven Hazel Heath "
    "Indigo Iris Jade Juniper Kite Lark Laurel Linden Loom Lumen Lyra Maple Marble Meadow Mesa "
    "Mira Moss Nova Oak Onyx Opal Orchid Pearl Pebble Pine Plume Prism Quartz Raven Reed Ridge "
    "Rowan Sage Sienna Slate Solace Spruce Tarn Teal Terra Thistle Tidal Timber Vale Velvet Vesper "
    "Willow Zephyr"
)

MOODS = (
    "light enough to take along",
    "made to be repaired",
    "quiet, plain and sturdy",
    "a favourite of beginners",
    "for every day",
    "small on the shelf, large in use",
    "with a five-year warranty",
    "made from recycled material",
    "for those who know what they want",
    "a gift that gets used",
)

KINDS: tuple[GoodsKind, ...] = tuple(
    GoodsKind(name, category, 100 * euros, days, tuple(goes_with.split(", ")))
    for category, shelf in _SHELVES.items()
    for name, euros, days, goes_with in shelf
)
CATEGORIES: tuple[str, ...] = tuple(_SHELVES)
BRANDS: tuple[Brand, ...] = tuple(
    Brand(name, float(tier)) for name, tier in (pair.split(" ") for pair in _BRANDS.split(", "))
)
LINES: tuple[str, ...] = tuple(_LINES.split())
