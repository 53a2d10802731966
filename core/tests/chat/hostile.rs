//! Templates that try to hang, to fill memory or to overflow the stack.

use std::time::{Duration, Instant};

use pocketlm::PocketError;
use pocketlm::chat::{ChatTemplate, Message};

/// Templates that try to hang, to fill memory or to overflow the stack.
fn hostile() -> Vec<(&'static str, String)> {
    let grow = |body: &str, n: u32| {
        format!(
            "{{% set ns = namespace(x='ab', y=[1], z=[1]) %}}{{% for i in range({n}) %}}{body}{{% endfor %}}"
        )
    };
    let text_loop = |body: &str| {
        let many = "{% for i in range(900) %}{% for j in range(900) %}";
        format!(
            "{{% set s = 'a' * 70000 %}}{{% set t = 'a' * 70000 %}}{many}{body}{{% endfor %}}{{% endfor %}}"
        )
    };
    vec![
        ("parentheses", format!("{{{{ {}1{} }}}}", "(".repeat(6000), ")".repeat(6000))),
        ("lists", format!("{{{{ {}1{} }}}}", "[".repeat(400), "]".repeat(400))),
        ("ifs", "{% if true %}".repeat(5500) + &"{% endif %}".repeat(5500)),
        ("plus", format!("{{{{ {}1 }}}}", "x+".repeat(50_000))),
        ("and", format!("{{{{ {}1 }}}}", "x and ".repeat(20_000))),
        (
            "elif",
            "{% if x %}".to_owned() + &"{% elif x %}".repeat(10_000) + "{% endif %}",
        ),
        ("not", format!("{{{{ {}1 }}}}", "not ".repeat(30_000))),
        ("minus", format!("{{{{ {}1 }}}}", "-".repeat(100_000))),
        ("attributes", format!("{{{{ x{} }}}}", ".a".repeat(60_000))),
        ("filters", format!("{{{{ x{} }}}}", "|e".repeat(60_000))),
        ("powers", format!("{{{{ {}1 }}}}", "1**".repeat(40_000))),
        ("long source", "x".repeat(1 << 20)),
        ("macro", "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}".into()),
        ("macro tree", "{% macro m(n) %}{% if n %}{{ m(n-1) }}{{ m(n-1) }}{% endif %}{% endmacro %}{{ m(60) }}".into()),
        ("recursive loop", "{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}".into()),
        ("range", "{% for i in range(1000000000) %}x{% endfor %}".into()),
        ("loops", "{% for i in range(99999) %}{% for j in range(99999) %}x{% endfor %}{% endfor %}".into()),
        ("ranges", "{% for i in range(99999) %}{% set x = range(99999) %}{% endfor %}".into()),
        ("power of text", "{{ '-' * 10**10 }}".into()),
        ("power of a list", "{{ ([1] * 100000000) ~ '' }}".into()),
        ("list of lists", "{{ [[1] * 100000000]|tojson }}".into()),
        ("doubled text", grow("{% set ns.x = ns.x + ns.x %}", 60)),
        ("doubled capture", grow("{% set x %}{{ ns.x }}{{ ns.x }}{% endset %}{% set ns.x = x %}", 60)),
        ("doubled list", grow("{% set ns.y = ns.y + ns.y %}", 60)),
        ("bomb, printed", grow("{% set ns.y = [ns.y, ns.y] %}", 40) + "{{ ns.y }}"),
        ("bomb, joined", grow("{% set ns.y = [ns.y, ns.y] %}", 40) + "{{ ns.y ~ '' }}"),
        ("bomb, captured", grow("{% set ns.y = [ns.y, ns.y] %}", 40) + "{% set x %}{{ ns.y }}{% endset %}"),
        ("bomb, dumped", grow("{% set ns.y = {'a': ns.y, 'b': ns.y} %}", 40) + "{{ ns.y|tojson }}"),
        ("bomb, compared", grow("{% set ns.y = [ns.y, ns.y] %}{% set ns.z = (ns.z, ns.z)|list %}", 40) + "{{ ns.y == ns.z }}"),
        ("bomb, sorted", grow("{% set ns.y = [ns.y, ns.y] %}{% set ns.z = [ns.z, ns.z] %}", 40) + "{{ [ns.y, ns.z]|sort|length }}"),
        ("bomb, in a string", grow("{% set ns.y = [ns.y, ns.y] %}", 40) + "{{ ns.y|string|length }}{{ '%s'|format(ns.y) }}"),
        ("bomb by macro", "{% macro m(x, n) %}{% if n %}{{ m([x, x], n-1) }}{% else %}{{ x }}{% endif %}{% endmacro %}{{ m([1], 60) }}".into()),
        ("bomb by with", "{% with x = [1] %}".to_owned() + &"{% with x = (x, x) %}".repeat(60) + "{{ x }}" + &"{% endwith %}".repeat(61)),
        ("bomb by filter", grow("{% set ns.y = ns.y|map('default')|list + ns.y|list %}", 60)),
        ("text, many times", "{% set s = 'a' * 100000 %}{{ ([s] * 100000) ~ '' }}".into()),
        ("deep list", grow("{% set ns.y = [ns.y] %}", 50_000) + "{{ ns.y }}"),
        ("deep slice", grow("{% set ns.y = ns.y[0:] %}", 50_000) + "{{ ns.y|length }}{{ ns.y }}"),
        ("deep namespace", grow("{% set ns.y = namespace(a=ns.y, b=ns.y) %}", 200) + "{{ ns.y }}"),
        ("cycle", grow("{% set ns.y = ns %}", 60) + "{{ ns }}{{ ns == ns.y }}" + &grow("{% set ns.y = [ns, ns] %}", 60) + "{{ ns }}"),
        ("replace", "{{ ('a' * 100000).replace('a', 'b' * 100000)|length }}".into()),
        ("replace filter", "{{ ('a' * 100000)|replace('a', 'b' * 100000)|length }}".into()),
        ("split", "{% for i in range(9999) %}{% set x = ('a' * 100000).split('a') %}{% endfor %}".into()),
        ("join", "{{ ('a' * 100000).join(['b'] * 100000)|length }}".into()),
        ("join filter", "{{ (['b'] * 100000)|join('a' * 100000)|length }}".into()),
        ("wide format", "{{ '{:>1000000000}'.format(1)|length }}".into()),
        ("wide percent", "{{ '%1000000000d'|format(1)|length }}".into()),
        ("computed width", "{{ '{:>{}}'.format(1, 1000000000)|length }}".into()),
        ("wide indent", "{{ 'a\\nb'|indent(1000000000)|length }}{{ [1]|tojson(indent=1000000000) }}".into()),
        ("wide separators", "{{ ([1] * 10000)|tojson(separators=('a' * 10000, 'b')) }}".into()),
        ("compared text", text_loop("{% if s == t %}{% endif %}")),
        ("indexed text", text_loop("{{ s[69999] }}")),
        ("searched text", text_loop("{{ 'a'.count(s) }}")),
        ("escapes", grow("{% set ns.x = ns.x|tojson %}", 60)),
        ("error text", "{{ raise_exception('x' * 1000000) }}".into()),
        ("output", "{% for i in range(99999) %}{{ 'x' * 4000 }}{% endfor %}".into()),
    ]
}

/// The worst shapes that stay within the limits still fit the stack.
#[test]
fn long_chains_within_the_limits_render() {
    for (source, expected) in [
        (
            "{% if x %}".to_owned() + &"{% elif x %}".repeat(1000) + "{% else %}a{% endif %}",
            "a",
        ),
        (format!("{{{{ {}1 }}}}", "0+".repeat(498)), "1"),
        (format!("{{{{ {}true }}}}", "not ".repeat(998)), "True"),
        (format!("{{{{ {}1 }}}}", "-".repeat(998)), "1"),
        (format!("{{{{ x{} }}}}", "|default('')".repeat(190)), ""),
        (format!("{{{{ {}1 }}}}", "1 if x else ".repeat(120)), "1"),
        (
            format!(
                "{{% set x = {}{} %}}{{{{ x|tojson|length }}}}",
                "[".repeat(60),
                "]".repeat(60)
            ),
            "120",
        ),
    ] {
        let template = ChatTemplate::new(&source, "", "", vec![]).unwrap();
        let text = template
            .render(&[Message::user("x")], &[], true)
            .unwrap()
            .text;
        assert_eq!(text, expected, "{}", &source[..40]);
    }
}

/// A child process runs the hostile templates, so that an abort is a failure of this test and not
/// the end of it, and so that its memory is its own.
#[test]
fn hostile_templates_end_in_an_error() {
    let module = module_path!()
        .split_once("::")
        .map_or(String::new(), |(_, m)| format!("{m}::"));
    let child = std::process::Command::new(std::env::current_exe().unwrap())
        .args([
            format!("{module}hostile_child").as_str(),
            "--exact",
            "--ignored",
            "--nocapture",
        ])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&child.stdout) + String::from_utf8_lossy(&child.stderr);
    assert!(
        child.status.success() && text.contains("1 passed"),
        "{text}"
    );
}

/// How often each template is tried.
const ATTEMPTS: u32 = 3;

#[test]
#[ignore = "run by hostile_templates_end_in_an_error in a process of its own"]
fn hostile_child() {
    let user = [Message::user("hello")];
    for (name, source) in hostile() {
        let attempt = || {
            let start = Instant::now();
            let result = ChatTemplate::new(&source, "", "", super::literal::specials())
                .and_then(|t| t.render(&user, &[], true));
            match result {
                Err(PocketError::TemplateFailed { reason }) => {
                    assert!(reason.chars().count() < 600, "{name}")
                }
                other => panic!("{name}: {:?}", other.map(|r| r.text.len())),
            }
            start.elapsed()
        };
        let (memory_before, cpu_before) = (peak_memory(), cpu_time());
        let wall = (0..ATTEMPTS).map(|_| attempt()).min().unwrap();
        let memory = peak_memory().saturating_sub(memory_before);
        // On a machine that does other things meanwhile, time on the CPU is the fairer measure.
        let cpu = cpu_time().map(|after| (after - cpu_before.unwrap_or_default()) / ATTEMPTS);
        let time = cpu.map_or(wall, |cpu| cpu.min(wall));
        println!("{name}: {time:?}, {} KiB", memory >> 10);
        assert!(time < Duration::from_millis(100), "{name} took {time:?}");
        assert!(memory < 64 << 20, "{name} took {memory} bytes");
    }
}

/// The time all threads of this process have spent on a CPU; `None` where the system does not say.
fn cpu_time() -> Option<Duration> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // After the command in parentheses: state, then 10 fields, then user and system time in ticks
    // of 10 ms.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    Some(Duration::from_millis(ticks * 10))
}

/// The most memory this process has had resident, in bytes; 0 where the system does not say.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"));
    line.and_then(|l| l.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok())
        .unwrap_or(0)
        << 10
}
