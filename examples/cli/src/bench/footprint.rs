//! The most memory that a run held, over its phases.

use crate::process_memory as memory;

/// Peaks over the phases so far. What happens between phases, such as the buffer with which the
/// bandwidth is measured, does not count. Values are bytes, `None` where the system does not tell.
///
/// Memory is looked at only where a phase begins and ends, never while something is timed. What a
/// phase took and gave back in between is known all the same: the kernel keeps the highest
/// resident size since it was told to forget the one before. It keeps no such mark for private
/// memory alone, but pages of the model's file hardly leave memory during a phase, so the mark less
/// the file pages is private; where some of them were not yet in memory at that moment, it is less
/// than the truth, never more.
#[derive(Debug, Default, PartialEq)]
pub struct Footprint {
    /// All resident memory, the model's file pages included.
    pub resident: Option<u64>,
    /// Private memory: [`memory::private`].
    pub private: Option<u64>,
    /// Private memory less the caches that were alive in the same phase.
    pub private_beyond_kv: Option<u64>,
    /// The largest cache.
    pub kv_cache: u64,
    /// File pages when the phase began.
    file_at_start: u64,
    /// Whether the kernel's mark is of this phase alone.
    marked: bool,
}

impl Footprint {
    /// Begins a phase.
    pub fn begin(&mut self) {
        self.marked = memory::forget_peak();
        self.file_at_start = memory::file_resident().unwrap_or(0);
    }

    /// Ends a phase, at the end of which caches of `kv_cache` bytes are alive: as many as ever
    /// were in this phase.
    pub fn end(&mut self, kv_cache: usize) {
        let mark = self.marked.then(memory::peak_resident).flatten();
        let file = memory::file_resident().map(|now| now.max(self.file_at_start));
        let anonymous = mark.zip(file).map(|(mark, file)| mark.saturating_sub(file));
        self.take_in(
            mark.max(memory::resident()),
            memory::private().map(|now| now.max(anonymous.unwrap_or(0))),
            kv_cache as u64,
        );
    }

    fn take_in(&mut self, resident: Option<u64>, private: Option<u64>, kv_cache: u64) {
        let beyond = private.map(|private| private.saturating_sub(kv_cache));
        // `None` is less than any number.
        self.resident = self.resident.max(resident);
        self.private = self.private.max(private);
        self.private_beyond_kv = self.private_beyond_kv.max(beyond);
        self.kv_cache = self.kv_cache.max(kv_cache);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_value_is_the_most_of_any_phase() {
        let mut footprint = Footprint::default();
        footprint.take_in(Some(500), Some(90), 10);
        footprint.take_in(Some(600), Some(100), 60);
        footprint.take_in(Some(550), Some(20), 30);
        footprint.take_in(None, None, 0);
        assert_eq!(footprint.resident, Some(600));
        assert_eq!(footprint.private, Some(100));
        assert_eq!(footprint.private_beyond_kv, Some(80));
        assert_eq!(footprint.kv_cache, 60);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn memory_given_back_within_a_phase_counts_and_between_phases_does_not() {
        // Large enough that what the tests beside this one take at the same time is little.
        const BLOCK: usize = 512 << 20;
        let touch = |bytes: usize| drop(std::hint::black_box(vec![1u8; bytes]));
        touch(BLOCK * 2);

        let mut footprint = Footprint::default();
        footprint.begin();
        footprint.end(0);
        let (resident, private) = (footprint.resident.unwrap(), footprint.private.unwrap());
        assert!(resident < BLOCK as u64 * 2 && private < BLOCK as u64 * 2);

        footprint.begin();
        touch(BLOCK);
        footprint.end(BLOCK / 2);
        assert!(footprint.resident.unwrap() >= BLOCK as u64);
        assert!(footprint.private.unwrap() >= BLOCK as u64 / 8 * 7);
        let beyond = footprint.private_beyond_kv.unwrap();
        assert!(beyond >= BLOCK as u64 / 8 * 3, "{beyond}");
    }
}
