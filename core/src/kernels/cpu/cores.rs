//! Which cores to compute on: phones have slow ones beside fast ones, and a region is as fast as its
//! slowest thread.
#![cfg_attr(any(target_os = "linux", target_os = "android"), allow(unsafe_code))]

use std::fs;
use std::path::Path;

/// Where Linux describes cores.
const CORES: &str = "/sys/devices/system/cpu";

/// As many threads as there are fast cores that this process may use.
pub fn default_threads() -> usize {
    let allowed = std::thread::available_parallelism().map_or(1, usize::from);
    match fast_cores(Path::new(CORES)).len() {
        0 => allowed,
        fast => allowed.min(fast),
    }
}

/// The numbers of the cores that are at least half as fast as the fastest; none where the system
/// says nothing of their speeds.
fn fast_cores(folder: &Path) -> Vec<usize> {
    let number =
        |path: &Path| -> Option<u64> { fs::read_to_string(path).ok()?.trim().parse().ok() };
    // The scheduler's own figure on ARM64; elsewhere the clock has to do.
    let speed = |core: usize| {
        let core = folder.join(format!("cpu{core}"));
        number(&core.join("cpu_capacity"))
            .or_else(|| number(&core.join("cpufreq/cpuinfo_max_freq")))
    };
    let speeds: Vec<u64> = (0..).map_while(speed).collect();
    let fastest = speeds.iter().copied().max().unwrap_or(0);
    (0..speeds.len())
        .filter(|core| speeds[*core].saturating_mul(2) >= fastest)
        .collect()
}

/// Keeps the calling thread on fast cores, where it may use some of them. A thread that cannot be
/// kept there only costs speed, so failures are ignored.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub fn stay_on_fast_cores() {
    let fast = fast_cores(Path::new(CORES));
    // SAFETY: both calls read or write the set they are given, of the size they are told, and name
    // the calling thread (0); the macros stay within the set, since the number is checked.
    unsafe {
        let mut allowed: libc::cpu_set_t = std::mem::zeroed();
        let size = size_of::<libc::cpu_set_t>();
        if libc::sched_getaffinity(0, size, &raw mut allowed) != 0 {
            return;
        }
        let mut wanted: libc::cpu_set_t = std::mem::zeroed();
        for core in fast {
            if core < libc::CPU_SETSIZE as usize && libc::CPU_ISSET(core, &allowed) {
                libc::CPU_SET(core, &mut wanted);
            }
        }
        let count = libc::CPU_COUNT(&wanted);
        if count > 0 && count < libc::CPU_COUNT(&allowed) {
            libc::sched_setaffinity(0, size, &raw const wanted);
        }
    }
}

/// Other systems place threads by themselves.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub fn stay_on_fast_cores() {}

#[cfg(test)]
mod tests {
    use super::*;

    fn cores(file: &str, speeds: &[&str]) -> Vec<usize> {
        let folder = tempfile::tempdir().expect("a folder");
        for (i, speed) in speeds.iter().enumerate() {
            let path = folder.path().join(format!("cpu{i}")).join(file);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            fs::write(path, format!("{speed}\n")).expect("writes");
        }
        fast_cores(folder.path())
    }

    #[test]
    fn slow_cores_are_told_from_fast_ones() {
        let phone = ["325", "325", "870", "870", "870", "905", "905", "1024"];
        assert_eq!(cores("cpu_capacity", &phone), [2, 3, 4, 5, 6, 7]);
        let clocks = ["2016000", "2016000", "3187200", "3302400"];
        assert_eq!(cores("cpufreq/cpuinfo_max_freq", &clocks), [0, 1, 2, 3]);
        assert_eq!(cores("cpu_capacity", &["1024", "1024"]), [0, 1]);
        assert!(cores("cpu_capacity", &["fast", "1024"]).is_empty());
        assert!(cores("other", &["1"]).is_empty());
    }

    #[test]
    fn there_is_a_thread_to_compute_with_and_it_may_run_somewhere() {
        assert!(default_threads() >= 1);
        std::thread::spawn(|| {
            stay_on_fast_cores();
            assert!(std::thread::available_parallelism().expect("cores").get() >= 1);
        })
        .join()
        .expect("the thread ends");
    }
}
