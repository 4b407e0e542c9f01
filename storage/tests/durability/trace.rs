//! Reads what `strace` saw of a process: which bytes it wrote where, what it synced, what it acknowledged.
//!
//! Calls of several threads overlap. A write counts from its end; a sync covers what had ended when it
//! began, and counts from its end; an acknowledgement counts from its beginning. Each choice is the strict one.
//! A descriptor is closed when the call begins: before it ends another thread may have opened it anew.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use super::{image::moved, load::Note};

/// Arguments for `strace`, except the file to write to. Strings are whole and in hexadecimal.
pub(crate) const STRACE: &[&str] = &["strace", "-f", "-qq", "-xx", "-s", "16777216", "-e", CALLS];

const CALLS: &str = "trace=openat,open,creat,close,dup,dup2,dup3,fcntl,write,pwrite64,writev,pwritev,pwritev2,\
    lseek,read,readv,fsync,fdatasync,sync_file_range,ftruncate,truncate,fallocate,rename,renameat,renameat2,\
    unlink,unlinkat,rmdir,mkdir,mkdirat,link,linkat,mmap,sendfile,copy_file_range";

/// Something that concerns the disk, in order.
#[derive(Debug, Clone)]
pub(crate) enum Op {
    /// A file was opened for the first time by this name, and made if it was not there.
    Create(PathBuf),
    Write {
        path: PathBuf,
        at: usize,
        bytes: Vec<u8>,
    },
    /// A file was cut or extended to a length.
    Resize {
        path: PathBuf,
        length: usize,
    },
    /// A file has at least a length.
    Extend {
        path: PathBuf,
        length: usize,
    },
    /// What was written to a file (or changed in a directory) before the op `began` is on the disk.
    Sync {
        path: PathBuf,
        began: usize,
    },
    Rename {
        from: PathBuf,
        to: PathBuf,
    },
    Remove(PathBuf),
    MakeDirectory(PathBuf),
    Acknowledged(Note),
}

/// Everything that several processes, one after the other, did to a directory.
pub(crate) struct Trace {
    pub(crate) ops: Vec<Op>,
    store: PathBuf,
    notes: PathBuf,
    /// Length of each file, for writes at its end.
    lengths: HashMap<PathBuf, usize>,
}

/// An open file of a process.
#[derive(Debug, Clone)]
struct OpenFile {
    path: PathBuf,
    position: usize,
    append: bool,
    sync_writes: bool,
}

/// The calls of one process.
struct Process<'a> {
    trace: &'a mut Trace,
    files: HashMap<i64, OpenFile>,
    /// Calls that have begun, by thread: their text and the op that they began before.
    begun: HashMap<&'a str, (&'a str, usize)>,
}

impl Trace {
    /// A trace of nothing: of a directory that does not exist yet.
    pub(crate) fn new(store: &Path, notes: &Path) -> Self {
        Self { ops: Vec::new(), store: store.into(), notes: notes.into(), lengths: HashMap::new() }
    }

    /// Adds what strace wrote about one process.
    pub(crate) fn add(&mut self, text: &str) {
        let mut process = Process { trace: self, files: HashMap::new(), begun: HashMap::new() };
        for line in text.lines() {
            process.line(line);
        }
    }

    fn is_ours(&self, path: &Path) -> bool {
        path.starts_with(&self.store)
    }
}

impl<'a> Process<'a> {
    fn line(&mut self, line: &'a str) {
        let Some((thread, rest)) = line.split_once(' ') else { return };
        let (rest, now) = (rest.trim(), self.trace.ops.len());
        if let Some(begun) = rest.strip_suffix("<unfinished ...>") {
            self.note_acknowledgement(begun);
            self.close(begun);
            self.begun.insert(thread, (begun, now));
        } else if let Some(resumed) = rest.strip_prefix("<... ") {
            let Some((begun, began)) = self.begun.remove(thread) else { return };
            let Some((_, end)) = resumed.split_once(" resumed>") else { return };
            self.call(&format!("{begun}{end}"), began, true);
        } else {
            self.call(rest, now, false);
        }
    }

    /// A finished call. `noted`: its acknowledgements were taken when it began.
    fn call(&mut self, text: &str, began: usize, noted: bool) {
        let Some((name, rest)) = text.split_once('(') else { return };
        let Some((arguments, result)) = rest.rsplit_once(" = ") else { return };
        let arguments = arguments.trim_end().trim_end_matches(')');
        let Some(result) = result.split(' ').next().and_then(|result| result.parse::<i64>().ok()) else {
            return;
        };
        if result < 0 {
            return;
        }
        if !noted {
            self.note_acknowledgement(text);
            self.close(text);
        }
        match name {
            "open" | "openat" | "creat" => self.open(name, arguments, result),
            "dup" | "dup2" | "dup3" | "fcntl" => self.duplicate(name, arguments, result),
            "write" | "writev" | "pwrite64" | "pwritev" | "pwritev2" => self.write(name, arguments, result),
            "read" | "readv" | "lseek" => self.move_to(name, arguments, result),
            "fsync" | "fdatasync" => self.sync(arguments, began),
            "ftruncate" | "fallocate" => self.resize(name, arguments),
            "close" => {}
            "mmap" => self.map(arguments),
            _ => self.change_names(name, arguments),
        }
    }

    /// Takes the line of an acknowledgement when its write begins.
    fn note_acknowledgement(&mut self, text: &str) {
        let Some(arguments) = text.strip_prefix("write(") else { return };
        let file = self.files.get(&first_number(arguments));
        if file.is_some_and(|file| file.path == self.trace.notes) {
            let line = String::from_utf8(strings(arguments).concat()).unwrap();
            let note = Note::parse(line.trim_end()).expect("one note is one write");
            self.trace.ops.push(Op::Acknowledged(note));
        }
    }

    fn close(&mut self, text: &str) {
        if let Some(arguments) = text.strip_prefix("close(") {
            self.files.remove(&first_number(arguments));
        }
    }

    fn open(&mut self, name: &str, arguments: &str, descriptor: i64) {
        let path = path_of(&strings(arguments)[0]);
        let flag = |flag: &str| arguments.split([',', '|', ' ']).any(|word| word == flag);
        if self.trace.is_ours(&path) && !flag("O_DIRECTORY") {
            let creates = name == "creat" || flag("O_CREAT");
            if creates && !self.trace.lengths.contains_key(&path) {
                self.trace.lengths.insert(path.clone(), 0);
                self.trace.ops.push(Op::Create(path.clone()));
            }
            if name == "creat" || flag("O_TRUNC") {
                self.trace.lengths.insert(path.clone(), 0);
                self.trace.ops.push(Op::Resize { path: path.clone(), length: 0 });
            }
        }
        let sync_writes = flag("O_SYNC") || flag("O_DSYNC");
        let file = OpenFile { path, position: 0, append: flag("O_APPEND"), sync_writes };
        self.files.insert(descriptor, file);
    }

    fn duplicate(&mut self, name: &str, arguments: &str, descriptor: i64) {
        if name == "fcntl" && !arguments.contains("F_DUPFD") {
            return;
        }
        if let Some(file) = self.files.get(&first_number(arguments)).cloned() {
            self.files.insert(descriptor, file);
        }
    }

    fn write(&mut self, name: &str, arguments: &str, written: i64) {
        let Some(file) = self.files.get_mut(&first_number(arguments)) else { return };
        if !self.trace.is_ours(&file.path) {
            return;
        }
        assert!(!arguments.contains("\"..."), "strace cut a string");
        let mut bytes = strings(arguments).concat();
        bytes.truncate(usize::try_from(written).unwrap());
        let length = self.trace.lengths.entry(file.path.clone()).or_default();
        let at = match name {
            "pwrite64" | "pwritev" => last_number(arguments),
            "pwritev2" => panic!("pwritev2 is not understood"),
            _ if file.append => *length,
            _ => file.position,
        };
        if name.starts_with("write") {
            file.position = at + bytes.len();
        }
        *length = (*length).max(at + bytes.len());
        let path = file.path.clone();
        let sync_writes = file.sync_writes;
        self.trace.ops.push(Op::Write { path: path.clone(), at, bytes });
        if sync_writes {
            let began = self.trace.ops.len();
            self.trace.ops.push(Op::Sync { path, began });
        }
    }

    fn move_to(&mut self, name: &str, arguments: &str, result: i64) {
        if let Some(file) = self.files.get_mut(&first_number(arguments)) {
            let result = usize::try_from(result).unwrap();
            file.position = if name == "lseek" { result } else { file.position + result };
        }
    }

    fn sync(&mut self, arguments: &str, began: usize) {
        if let Some(file) = self.files.get(&first_number(arguments)) {
            self.trace.ops.push(Op::Sync { path: file.path.clone(), began });
        }
    }

    fn resize(&mut self, name: &str, arguments: &str) {
        let Some(file) = self.files.get(&first_number(arguments)) else { return };
        if !self.trace.is_ours(&file.path) {
            return;
        }
        let path = file.path.clone();
        let words: Vec<&str> = arguments.split(',').map(str::trim).collect();
        let number = |word: usize| words[word].parse::<usize>().unwrap();
        let before = self.trace.lengths.entry(path.clone()).or_default();
        if name == "ftruncate" {
            *before = number(1);
            self.trace.ops.push(Op::Resize { path, length: number(1) });
        } else if words[1] == "0" {
            let length = number(2) + number(3);
            *before = (*before).max(length);
            self.trace.ops.push(Op::Extend { path, length });
        } else {
            panic!("a mode of fallocate that is not understood: {arguments}");
        }
    }

    /// Writes through shared memory would not be seen.
    fn map(&self, arguments: &str) {
        let words: Vec<&str> = arguments.split(',').map(str::trim).collect();
        if arguments.contains("MAP_SHARED") && arguments.contains("PROT_WRITE") {
            let file = self.files.get(&words[4].parse().unwrap_or(-1));
            assert!(
                !file.is_some_and(|file| self.trace.is_ours(&file.path)),
                "a mapped file cannot be traced"
            );
        }
    }

    fn change_names(&mut self, name: &str, arguments: &str) {
        let paths: Vec<PathBuf> = strings(arguments).iter().map(|path| path_of(path)).collect();
        if !paths.iter().any(|path| self.trace.is_ours(path)) {
            return;
        }
        match name {
            "rename" | "renameat" | "renameat2" => {
                let (from, to) = (&paths[0], &paths[1]);
                let lengths = std::mem::take(&mut self.trace.lengths).into_iter();
                self.trace.lengths = lengths.map(|(name, length)| (moved(name, from, to), length)).collect();
                for file in self.files.values_mut() {
                    file.path = moved(std::mem::take(&mut file.path), from, to);
                }
                self.trace.ops.push(Op::Rename { from: from.clone(), to: to.clone() });
            }
            "unlink" | "unlinkat" | "rmdir" => {
                self.trace.lengths.remove(&paths[0]);
                self.trace.ops.push(Op::Remove(paths[0].clone()));
            }
            "mkdir" | "mkdirat" => self.trace.ops.push(Op::MakeDirectory(paths[0].clone())),
            "sync_file_range" => {}
            _ => panic!("{name} is not understood"),
        }
    }
}

fn first_number(arguments: &str) -> i64 {
    arguments.split([',', ' ', ')']).next().and_then(|number| number.parse().ok()).unwrap_or(-1)
}

fn last_number(arguments: &str) -> usize {
    arguments.rsplit(',').next().unwrap().trim().parse().unwrap()
}

/// The strings among the arguments, all of them written as `\x61\x62`.
fn strings(arguments: &str) -> Vec<Vec<u8>> {
    let quoted = arguments.split('"').skip(1).step_by(2);
    quoted.map(|text| cercle_proto::id::from_hex(&text.replace("\\x", "")).unwrap_or_default()).collect()
}

/// Paths are absolute in these tests; a trailing slash would make a second name of the same file.
fn path_of(bytes: &[u8]) -> PathBuf {
    Path::new(std::str::from_utf8(bytes).unwrap()).components().collect()
}

#[test]
fn a_sync_covers_what_had_ended_when_it_began() {
    let mut trace = Trace::new(Path::new("/s"), Path::new("/n"));
    let hex = |text: &str| text.bytes().map(|byte| format!("\\x{byte:02x}")).collect::<String>();
    let lines = [
        format!("7 openat(AT_FDCWD, \"{}\", O_RDWR|O_CREAT|O_CLOEXEC, 0644) = 3", hex("/s/f")),
        format!("7 openat(AT_FDCWD, \"{}\", O_WRONLY|O_APPEND, 0644) = 4", hex("/n")),
        format!("7 pwrite64(3, \"{}\", 2, 10) = 2", hex("ab")),
        "7 fdatasync(3 <unfinished ...>".to_owned(),
        format!("8 pwrite64(3, \"{}\", 2, 12) = 2", hex("cd")),
        "7 <... fdatasync resumed>) = 0".to_owned(),
        format!("8 write(4, \"{}\", 4) = 4", hex("G 3\n")),
        "8 fsync(9) = -1 EBADF (Bad file descriptor)".to_owned(),
    ];
    trace.add(&lines.join("\n"));
    let [Op::Create(_), first, Op::Write { at: 12, .. }, sync, Op::Acknowledged(Note::Group(3))] =
        trace.ops.as_slice()
    else {
        panic!("{:?}", trace.ops)
    };
    assert!(matches!(first, Op::Write { at: 10, bytes, .. } if bytes == b"ab"));
    assert!(matches!(sync, Op::Sync { began: 2, .. }));
}

#[test]
fn a_descriptor_that_another_thread_opens_while_it_is_being_closed_is_the_new_file() {
    let mut trace = Trace::new(Path::new("/s"), Path::new("/n"));
    let hex = |text: &str| text.bytes().map(|byte| format!("\\x{byte:02x}")).collect::<String>();
    let open =
        |name: &str| format!("openat(AT_FDCWD, \"{}\", O_RDWR|O_CREAT|O_CLOEXEC, 0644) = 3", hex(name));
    let lines = [
        format!("7 {}", open("/s/old")),
        "7 close(3 <unfinished ...>".to_owned(),
        format!("8 {}", open("/s/new")),
        "7 <... close resumed>) = 0".to_owned(),
        format!("8 pwrite64(3, \"{}\", 2, 0) = 2", hex("ab")),
    ];
    trace.add(&lines.join("\n"));
    let written = trace.ops.last().unwrap();
    assert!(matches!(written, Op::Write { path, .. } if path == Path::new("/s/new")), "{written:?}");
}
