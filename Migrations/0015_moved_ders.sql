-- DER that switching has moved to another feeder: few rows, looked for by where they normally belong.
CREATE INDEX feeder_profile_1m_moved ON backfeed_store.feeder_profile_1m (normal_feeder, time) WHERE feeder <> normal_feeder;
CREATE INDEX feeder_profile_15m_moved ON backfeed_store.feeder_profile_15m (normal_feeder, time) WHERE feeder <> normal_feeder;
CREATE INDEX feeder_profile_1d_moved ON backfeed_store.feeder_profile_1d (normal_feeder, time) WHERE feeder <> normal_feeder;
