-- What is in force for the whole network or a feeder stands in the register too: a fire day, lightning, a crew on a line.
ALTER TABLE backfeed_store.safety_item DROP CONSTRAINT safety_item_kind_check;
ALTER TABLE backfeed_store.safety_item ADD CONSTRAINT safety_item_kind_check
    CHECK (kind IN ('tag', 'ground', 'clearance', 'reclosing_disabled', 'restriction'));

COMMENT ON COLUMN backfeed.safety_item.kind IS 'tag, ground, clearance, reclosing_disabled, restriction';
COMMENT ON COLUMN backfeed.safety_item.element IS 'Switch, line, transformer or node; of a restriction a feeder, or network';
COMMENT ON COLUMN backfeed.safety_item.value IS 'Of a tag its kind (HOLD, HOTLINE), of a clearance its holder, of a restriction what it is';
