//! How much memory this process can still have.

/// Bytes that can be had now, within the limits set for this process; `None` where the system does
/// not tell.
///
/// - Linux and Android: `MemAvailable` of the kernel (free memory and what can be reclaimed without
///   swapping), and what the process's control groups leave, whichever is less.
/// - iOS: what is left until the system ends the app.
/// - Elsewhere: unknown.
pub fn available() -> Option<u64> {
    system::available()
}

#[cfg(any(target_os = "linux", target_os = "android"))]
mod system {
    use std::fs;
    use std::path::{Path, PathBuf};

    pub fn available() -> Option<u64> {
        under(Path::new("/"))
    }

    /// The same below another root, for tests.
    pub fn under(root: &Path) -> Option<u64> {
        let system = fs::read_to_string(root.join("proc/meminfo")).ok();
        let system = system.and_then(|text| field(&text, "MemAvailable:")?.checked_mul(1024));
        let groups = control_groups(root).into_iter().filter_map(Group::left);
        groups.chain(system).min()
    }

    /// The number after `name` at the start of a line.
    fn field(text: &str, name: &str) -> Option<u64> {
        let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
        rest.split_whitespace().next()?.parse().ok()
    }

    /// A control group's folder, and how its version names things.
    struct Group {
        folder: PathBuf,
        files: &'static Files,
    }

    /// File and field names of a version of control groups.
    struct Files {
        limit: &'static str,
        used: &'static str,
        /// Fields of `memory.stat` that the kernel can take back: pages of files.
        reclaimable: &'static [&'static str],
    }

    /// Kernel documentation: admin-guide/cgroup-v2 and admin-guide/cgroup-v1/memory.
    const V2: Files = Files {
        limit: "memory.max",
        used: "memory.current",
        reclaimable: &["inactive_file ", "active_file ", "slab_reclaimable "],
    };
    const V1: Files = Files {
        limit: "memory.limit_in_bytes",
        used: "memory.usage_in_bytes",
        reclaimable: &["total_inactive_file ", "total_active_file "],
    };

    impl Group {
        /// What the group may still take; `None` when it has no limit.
        fn left(self) -> Option<u64> {
            let read = |name: &str| fs::read_to_string(self.folder.join(name)).ok();
            // "max" is no number, and means that there is no limit.
            let limit: u64 = read(self.files.limit)?.trim().parse().ok()?;
            let used: u64 = read(self.files.used)?.trim().parse().ok()?;
            let stat = read("memory.stat").unwrap_or_default();
            let fields = self.files.reclaimable.iter();
            let reclaimable: u64 = fields.filter_map(|name| field(&stat, name)).sum();
            Some(limit.saturating_sub(used.saturating_sub(reclaimable)))
        }
    }

    /// The memory groups of this process, and those they are in.
    fn control_groups(root: &Path) -> Vec<Group> {
        let membership = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
        let mut groups = Vec::new();
        for line in membership.lines() {
            let mut parts = line.splitn(3, ':').skip(1);
            let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else {
                continue;
            };
            let (mount, files) = if controllers.is_empty() {
                ("sys/fs/cgroup", &V2)
            } else if controllers.split(',').any(|name| name == "memory") {
                ("sys/fs/cgroup/memory", &V1)
            } else {
                continue;
            };
            let mount = root.join(mount);
            // In a container the path may be that of the host: the mount itself is looked at too.
            let within = mount.join(path.trim_start_matches('/'));
            let folders = within.ancestors().take_while(|f| f.starts_with(&mount));
            groups.extend(folders.map(|folder| Group {
                folder: folder.to_path_buf(),
                files,
            }));
        }
        groups
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        /// A root with these files.
        fn root(files: &[(&str, &str)]) -> tempfile::TempDir {
            let root = tempfile::tempdir().expect("a folder");
            for (path, text) in files {
                let path = root.path().join(path);
                fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
                fs::write(path, text).expect("written");
            }
            root
        }

        const MEMINFO: (&str, &str) = (
            "proc/meminfo",
            "MemTotal: 9000 kB\nMemFree: 10 kB\nMemAvailable:    5000 kB\n",
        );

        #[test]
        fn the_system_tells_when_there_is_no_group() {
            assert_eq!(under(root(&[MEMINFO]).path()), Some(5000 * 1024));
            assert_eq!(under(root(&[]).path()), None);
        }

        #[test]
        fn the_tightest_of_nested_groups_counts_and_file_pages_can_be_had() {
            let group = "sys/fs/cgroup/app";
            let root = root(&[
                MEMINFO,
                ("proc/self/cgroup", "0::/app/inner\n"),
                (&format!("{group}/memory.max"), "1000000\n"),
                (&format!("{group}/memory.current"), "900000\n"),
                (
                    &format!("{group}/memory.stat"),
                    "anon 1\ninactive_file 300000\nactive_file 100000\n",
                ),
                (&format!("{group}/inner/memory.max"), "max\n"),
                (&format!("{group}/inner/memory.current"), "800000\n"),
            ]);
            assert_eq!(under(root.path()), Some(500_000));
        }

        #[test]
        fn the_first_version_of_groups_is_read_too() {
            let folder = "sys/fs/cgroup/memory";
            let root = root(&[
                MEMINFO,
                (
                    "proc/self/cgroup",
                    "3:cpu:/x\n2:memory,hugetlb:/of/the/host\n",
                ),
                (&format!("{folder}/memory.limit_in_bytes"), "4096000\n"),
                (&format!("{folder}/memory.usage_in_bytes"), "96000\n"),
            ]);
            assert_eq!(under(root.path()), Some(4_000_000));
        }

        #[test]
        fn this_machine_tells() {
            assert!(available().expect("Linux tells") > 1 << 20);
        }
    }
}

#[cfg(target_os = "ios")]
#[allow(unsafe_code)]
mod system {
    unsafe extern "C" {
        // <os/proc.h>, since iOS 13: bytes until the app reaches its limit; 0 when it has none.
        safe fn os_proc_available_memory() -> usize;
    }

    pub fn available() -> Option<u64> {
        match os_proc_available_memory() {
            0 => None,
            bytes => Some(bytes as u64),
        }
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_os = "ios")))]
mod system {
    pub fn available() -> Option<u64> {
        None
    }
}
