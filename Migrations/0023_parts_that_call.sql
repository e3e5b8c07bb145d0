-- A part of severity 1 or 2 of something that is told at another place (a feeder's reverse power, part of the bank's) asks for
-- attention itself: it has a parent, and is not suppressed.
COMMENT ON COLUMN backfeed.advisory.parent IS 'Advisory that it is part of; suppressed where that stands for it, a feeder''s of severity 1 or 2 calls beside its bank''s';
COMMENT ON COLUMN backfeed.advisory.message IS 'What is, in words; while it holds its numbers are those of the time at its end (As of): of the raise, or of the last change of severity or extent';
