//! What folds without a client: `ingest` and `rebuild`. And how fast deliveries are taken when the file is large.

use crate::server::{self, Contender};
use crate::table::{Figures, Of};
use crate::{Sizes, client, mix};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

/// A file of deliveries, one a line.
pub struct Log {
    path: PathBuf,
    /// Bytes of the bodies, and of the ends of the lines.
    pub bytes: u64,
}

impl Log {
    /// Writes so many deliveries of the mix from the `from`-th on.
    pub fn make(dir: &Path, from: u64, lines: u64) -> Self {
        Self::write(dir, |out| (from..from + lines).for_each(|n| writeln!(out, "{}", mix::body(n)).unwrap()))
    }

    /// Writes what `write` writes.
    pub fn write(dir: &Path, write: impl FnOnce(&mut dyn Write)) -> Self {
        let path = dir.join("log.jsonl");
        let mut out = std::io::BufWriter::new(std::fs::File::create(&path).unwrap());
        write(&mut out);
        let bytes = out.into_inner().unwrap().metadata().unwrap().len();
        Self { path, bytes }
    }

    pub fn name(&self) -> &str {
        self.path.to_str().expect("the folder of the benchmark is spelled in UTF-8")
    }
}

/// A folder on the disk that is measured, empty.
pub fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in(parent()).unwrap()
}

/// The folder that such folders are made in.
pub fn parent() -> PathBuf {
    let parent = std::env::var("CHATFOLD_BENCH_DIR").unwrap_or_else(|_| "target".into());
    std::fs::create_dir_all(&parent).unwrap();
    std::path::absolute(parent).unwrap()
}

/// How long the disk takes to hold 4 KiB for good, in ms: the median of a hundred. No commit is faster.
pub fn sync_time() -> f64 {
    let dir = folder();
    let mut file = std::fs::File::create(dir.path().join("sync")).unwrap();
    let mut taken: Vec<Duration> = (0..100)
        .map(|_| {
            let begun = Instant::now();
            file.write_all(&[1; 4096]).unwrap();
            file.sync_data().unwrap();
            begun.elapsed()
        })
        .collect();
    taken.sort();
    taken[50].as_secs_f64() * 1_000.0
}

const FILE: &str = "chatfold.db";

/// Reads a log of `sizes.lines` into a new file of each build, then folds the file again, then posts to a server over it.
pub fn measure(contenders: &[Contender], sizes: &Sizes, figures: &mut Figures) {
    let shared = folder();
    let log = Log::make(shared.path(), 1, sizes.lines);
    let lines = sizes.lines as f64;
    let mut dirs = Vec::new();
    for contender in contenders {
        let Some(binary) = contender.chatfold() else { continue };
        let dir = folder();
        let cost = server::run(binary, &["ingest", log.name(), "--db", FILE], dir.path());
        let mut add = |what: &str, of, figure| figures.add(what, of, contender.name, figure);
        add("ingest, lines/s", Of::Median, lines / cost.elapsed.as_secs_f64());
        add("ingest, KiB written a line", Of::Median, cost.written as f64 / 1024.0 / lines);
        add("ingest, MiB of memory at most", Of::Greatest, cost.peak as f64 / 1048576.0);
        let file = std::fs::metadata(dir.path().join(FILE)).unwrap().len();
        add("file bytes a byte of body", Of::Median, file as f64 / log.bytes as f64);
        eprintln!("{}: ingest of {} lines in {:.1?}", contender.name, sizes.lines, cost.elapsed);
        dirs.push((contender, binary, dir));
    }
    for (contender, binary, dir) in &dirs {
        let cost = server::run(binary, &["rebuild", "--db", FILE], dir.path());
        let mut add = |what: &str, of, figure| figures.add(what, of, contender.name, figure);
        add("rebuild, events/s", Of::Median, lines / cost.elapsed.as_secs_f64());
        add("rebuild, KiB written an event", Of::Median, cost.written as f64 / 1024.0 / lines);
        add("rebuild, MiB of memory at most", Of::Greatest, cost.peak as f64 / 1048576.0);
        eprintln!("{}: rebuild of {} events in {:.1?}", contender.name, sizes.lines, cost.elapsed);
    }
    drop(shared);
    for (contender, binary, dir) in &dirs {
        large(contender, binary, dir.path(), sizes, figures);
    }
}

/// Deliveries a second over a small file and over this large one.
fn large(contender: &Contender, binary: &Path, dir: &Path, sizes: &Sizes, figures: &mut Figures) {
    let mut holds = sizes.lines;
    // Only the newest build grows its file further: an older one may take hours.
    if contender.held && sizes.messages > holds {
        let log = Log::make(dir, holds + 1, sizes.messages - holds);
        server::run(binary, &["ingest", log.name(), "--db", FILE], dir);
        std::fs::remove_file(log.name()).unwrap();
        holds = sizes.messages;
    }
    let small = folder();
    let log = Log::make(small.path(), 1, sizes.small);
    server::run(binary, &["ingest", log.name(), "--db", FILE], small.path());
    let mut rates = [Vec::new(), Vec::new()];
    for round in 0..sizes.rounds as u64 {
        for (place, (dir, holds)) in [(small.path(), sizes.small), (dir, holds)].into_iter().enumerate() {
            let server = contender.serve(dir);
            // Numbers that no round has posted.
            let next = AtomicU64::new(holds + 1 + round * 10_000_000);
            let time = Duration::from_secs(sizes.seconds);
            let answers = client::load(server.address, 64, &next, |taken| taken < time);
            sizes.check(contender, answers.refused, "a delivery to a large file");
            rates[place].push(answers.rate());
        }
    }
    let [small, large] = rates.map(|mut rates| {
        rates.sort_by(f64::total_cmp);
        rates[rates.len() / 2]
    });
    let mut add = |what: String, figure| figures.add(what, Of::Median, contender.name, figure);
    add(format!("deliveries/s over a file of {}", sizes.small), small);
    add("deliveries/s over the large file".to_owned(), large);
    add("the large file against the small one".to_owned(), large / small);
    eprintln!(
        "{}: {large:.0} deliveries/s over a file of {holds}, {small:.0} over one of {}",
        contender.name, sizes.small
    );
}
