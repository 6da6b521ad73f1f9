from irstd.data.sources import NOT_OFFERED, SOURCES
from irstd.stages.list_data import list_data


def test_every_data_set_is_listed_with_its_facts() -> None:
    text = list_data()
    assert all(f"{name}: " in text for name in (*SOURCES, *NOT_OFFERED))
    assert "427 images, 533 targets\n  layouts: L1, L3, L5, L6; L4\n" in text
    assert "\n  splits: idx_427 (256 / 85 / 86), " in text
    assert "1001 images, 1495 targets, 512 x 512\n" in text
    assert "licence: MIT" in text
    assert "200 sequences, ? images" in text
    assert "not offered: TSIRMT_tiny: " in text
