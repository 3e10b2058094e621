"""The kinds of furniture and their designs."""

from __future__ import annotations

from export_models.dataset.makers.accent_seats import (
    build_accent_chair,
    build_barrel_chair,
    build_futon,
    build_lounge_chair,
    build_settee,
)
from export_models.dataset.makers.bar_stools import (
    build_bar_chair,
    build_metal_stool,
    build_ottoman,
    build_pouf,
    build_saddle_stool,
    build_step_stool,
    build_swivel_stool,
)
from export_models.dataset.makers.beds import build_bed
from export_models.dataset.makers.benches import (
    build_backed_bench,
    build_lidded_chest,
    build_plain_bench,
    build_storage_bench,
    build_upholstered_bench,
)
from export_models.dataset.makers.cabinets import build_cabinet
from export_models.dataset.makers.chairs import build_chair
from export_models.dataset.makers.desks import build_desk
from export_models.dataset.makers.dressers import build_dresser
from export_models.dataset.makers.islands import build_kitchen_island
from export_models.dataset.makers.mirrors import build_cheval_mirror, build_leaning_mirror
from export_models.dataset.makers.open_cases import (
    build_bin_shelf,
    build_open_nightstand,
    build_open_sideboard,
    build_television_bench,
)
from export_models.dataset.makers.piece import Design
from export_models.dataset.makers.racks import (
    build_bar_cart,
    build_basket_stand,
    build_blanket_ladder,
    build_clothes_rack,
    build_coat_stand,
    build_corner_shelf,
    build_etagere,
    build_hook_rack,
    build_leaning_shelf,
    build_plant_stand,
    build_shoe_rack,
    build_wine_rack,
)
from export_models.dataset.makers.shelves import build_shelf
from export_models.dataset.makers.slatted_beds import (
    build_bunk_bed,
    build_crib,
    build_house_bed,
    build_slatted_bed,
    build_upholstered_bed,
)
from export_models.dataset.makers.slatted_seats import (
    build_adirondack_chair,
    build_folding_chair,
    build_garden_bench,
    build_garden_chair,
    build_lounger,
    build_picnic_table,
    build_rocking_chair,
)
from export_models.dataset.makers.small_tables import (
    build_c_table,
    build_drop_leaf_table,
    build_drum_table,
    build_nesting_tables,
    build_storage_coffee_table,
    build_tray_table,
    build_tulip_table,
)
from export_models.dataset.makers.sofas import build_armchair, build_sofa
from export_models.dataset.makers.stools import build_stool
from export_models.dataset.makers.tables import build_table
from export_models.dataset.makers.tall_cases import (
    build_display_case,
    build_filing_cabinet,
    build_locker,
    build_louvred_wardrobe,
    build_open_wardrobe,
    build_shoe_cabinet,
    build_sliding_wardrobe,
)
from export_models.dataset.makers.wicker import (
    build_basket,
    build_rattan_armchair,
    build_wicker_armchair,
    build_wicker_sofa,
    build_woven_chair,
)
from export_models.dataset.makers.writing_desks import (
    build_childrens_table,
    build_cubby_desk,
    build_frame_desk,
    build_leaning_desk,
    build_secretary,
)

KINDS: dict[str, dict[Design, float]] = {
    "chair": {
        build_chair: 10,
        build_folding_chair: 1,
        build_woven_chair: 1.2,
    },
    "armchair": {
        build_armchair: 8,
        build_rocking_chair: 1,
        build_adirondack_chair: 0.8,
        build_garden_chair: 1,
        build_wicker_armchair: 1.2,
        build_rattan_armchair: 0.8,
        build_accent_chair: 1.5,
        build_barrel_chair: 1,
        build_lounge_chair: 2,
    },
    "sofa": {
        build_sofa: 10,
        build_wicker_sofa: 1,
        build_settee: 2,
        build_futon: 0.8,
    },
    "table": {
        build_table: 8,
        build_picnic_table: 0.8,
        build_nesting_tables: 1.2,
        build_tray_table: 1.2,
        build_c_table: 1,
        build_drum_table: 1,
        build_storage_coffee_table: 2,
        build_drop_leaf_table: 0.8,
        build_tulip_table: 1.5,
        build_kitchen_island: 1.5,
        build_childrens_table: 0.8,
    },
    "desk": {
        build_desk: 5,
        build_frame_desk: 2.5,
        build_cubby_desk: 1.5,
        build_secretary: 1,
        build_leaning_desk: 1,
    },
    "bed": {
        build_bed: 6,
        build_slatted_bed: 2.5,
        build_upholstered_bed: 2,
        build_bunk_bed: 1,
        build_crib: 1,
        build_house_bed: 0.6,
    },
    "cabinet": {
        build_cabinet: 8,
        build_television_bench: 3,
        build_open_sideboard: 2,
        build_open_nightstand: 2,
        build_louvred_wardrobe: 1,
        build_sliding_wardrobe: 1,
        build_open_wardrobe: 1,
        build_display_case: 1.5,
        build_filing_cabinet: 1,
        build_shoe_cabinet: 1,
        build_locker: 0.6,
    },
    "shelf": {
        build_shelf: 6,
        build_bin_shelf: 2,
        build_etagere: 2,
        build_leaning_shelf: 1.5,
        build_corner_shelf: 0.7,
    },
    "dresser": {build_dresser: 1},
    "stool": {
        build_stool: 5,
        build_bar_chair: 2.5,
        build_swivel_stool: 1,
        build_metal_stool: 0.7,
        build_saddle_stool: 1,
        build_step_stool: 1,
        build_ottoman: 2,
        build_pouf: 0.7,
    },
    "bench": {
        build_plain_bench: 3,
        build_upholstered_bench: 2.5,
        build_storage_bench: 2,
        build_lidded_chest: 1,
        build_backed_bench: 1.5,
        build_garden_bench: 1.5,
        build_lounger: 1,
    },
    "rack": {
        build_wine_rack: 1,
        build_shoe_rack: 1.5,
        build_clothes_rack: 1,
        build_blanket_ladder: 1,
        build_hook_rack: 1,
    },
    "stand": {
        build_bar_cart: 1.5,
        build_basket_stand: 1,
        build_plant_stand: 1.5,
        build_coat_stand: 1.5,
        build_basket: 1.5,
    },
    "mirror": {
        build_leaning_mirror: 1,
        build_cheval_mirror: 1,
    },
}
"""The designs of each kind and their relative weights."""
