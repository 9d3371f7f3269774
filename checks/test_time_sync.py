"""Beyond the baseline: one program that synchronizes the clock, now and after a boot."""

from facts.time_sync import TimeSyncParameters, TimeSyncPersisted, TimeSyncRuntime


def test_runtime(time_sync: TimeSyncRuntime, parameters: TimeSyncParameters) -> None:
    assert len(time_sync.running) == 1
    assert time_sync.program in parameters.programs
    assert not time_sync.problem
    assert abs(time_sync.offset_seconds or 0.0) <= parameters.max_offset_seconds
    assert (time_sync.age_seconds or 0.0) <= parameters.max_age_seconds


def test_persisted(time_sync: TimeSyncPersisted, parameters: TimeSyncParameters) -> None:
    assert len(time_sync.enabled) == 1
    assert time_sync.program in parameters.programs
    assert time_sync.sources
