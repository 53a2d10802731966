//! What this process occupies, as the kernel counts it. Linux only: elsewhere nothing is known.

use std::fs;

/// Resident set size: pages in memory, the model's file pages included.
pub fn resident() -> Option<u64> {
    field("/proc/self/status", "VmRSS:")
}

/// Peak resident set size since the start of the process, or since [`forget_peak`].
pub fn peak_resident() -> Option<u64> {
    field("/proc/self/status", "VmHWM:")
}

/// Makes [`peak_resident`] begin anew; whether the kernel could.
pub fn forget_peak() -> bool {
    // proc_pid_clear_refs(5): "5" resets the peak and touches nothing else.
    cfg!(target_os = "linux") && fs::write("/proc/self/clear_refs", "5").is_ok()
}

/// The part of the resident set that came from files or is shared memory.
pub fn file_resident() -> Option<u64> {
    let files = field("/proc/self/status", "RssFile:")?;
    Some(files + field("/proc/self/status", "RssShmem:").unwrap_or(0))
}

/// Private memory: what belongs to this process alone and cannot be dropped for the file it came
/// from (private dirty pages, and private pages in swap).
pub fn private() -> Option<u64> {
    let dirty = field("/proc/self/smaps_rollup", "Private_Dirty:")?;
    Some(dirty + field("/proc/self/smaps_rollup", "Swap:").unwrap_or(0))
}

/// The value of a line `Name:   1234 kB`, in bytes.
fn field(file: &str, name: &str) -> Option<u64> {
    parse(&fs::read_to_string(file).ok()?, name)
}

fn parse(text: &str, name: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = rest.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_kernel_s_lines() {
        let text = "VmPeak:\t  900 kB\nVmHWM:\t   12 kB\nThreads:\t4\n";
        assert_eq!(parse(text, "VmHWM:"), Some(12 * 1024));
        assert_eq!(parse(text, "Threads:"), None);
        assert_eq!(parse(text, "Missing:"), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn counts_memory_that_was_touched() {
        let before = private().unwrap();
        // Much more than the tests beside this one take or free meanwhile.
        let block = vec![1u8; 256 << 20];
        let after = private().unwrap();
        assert!(
            after >= before + (128 << 20),
            "{before} {after} {}",
            block.len()
        );
        assert!(resident().unwrap() >= 256 << 20);
        assert!(file_resident().unwrap() < resident().unwrap() - (128 << 20));
    }
}
