//! Puts `livekit-client` from npm beside the built-in page, at the version and hashes of `npm/package-lock.json`.
//!
//! Without npm or network the build goes on; the page then says what is missing. `KITH_SKIP_NPM=1` does not even try.

use std::{
    env,
    error::Error,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

/// How long npm may take. It needs seconds where the registry answers.
const PATIENCE: Duration = Duration::from_secs(90);

/// File in the package, and its name beside the page.
const FILES: [(&str, &str); 2] = [
    ("dist/livekit-client.umd.js", "livekit-client.js"),
    ("LICENSE", "livekit-client.LICENSE.txt"),
];

fn main() -> Result<(), Box<dyn Error>> {
    for input in ["build.rs", "npm", "web"] {
        println!("cargo::rerun-if-changed={input}");
    }
    println!("cargo::rerun-if-env-changed=KITH_SKIP_NPM");
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    let vendor = root.join("web/vendor");
    if let Err(problem) = provide(&root.join("npm"), &vendor) {
        println!("cargo::warning=the built-in page comes without livekit-client: {problem}");
    }
    Ok(())
}

fn provide(npm: &Path, vendor: &Path) -> Result<(), Box<dyn Error>> {
    // The lock file beside the copies tells which version they are.
    let lock = fs::read(npm.join("package-lock.json"))?;
    let stamp = vendor.join("package-lock.json.copied");
    let complete = FILES.iter().all(|(_, name)| vendor.join(name).exists());
    if complete && fs::read(&stamp).is_ok_and(|copied| copied == lock) {
        return Ok(());
    }
    if env::var_os("KITH_SKIP_NPM").is_some_and(|skip| skip != "0") {
        return Err("KITH_SKIP_NPM is set".into());
    }
    let work = PathBuf::from(env::var("OUT_DIR")?).join("npm");
    fs::create_dir_all(&work)?;
    for name in ["package.json", "package-lock.json"] {
        fs::copy(npm.join(name), work.join(name))?;
    }
    run_npm(&work)?;
    fs::create_dir_all(vendor)?;
    for (file, name) in FILES {
        fs::copy(
            work.join("node_modules/livekit-client").join(file),
            vendor.join(name),
        )?;
    }
    fs::write(stamp, lock)?;
    Ok(())
}

/// `npm ci` checks every package against the hashes of the lock file and runs none of their scripts.
fn run_npm(work: &Path) -> Result<(), Box<dyn Error>> {
    let program = if cfg!(windows) { "npm.cmd" } else { "npm" };
    let mut npm = Command::new(program)
        .args([
            "ci",
            "--ignore-scripts",
            "--omit=dev",
            "--no-audit",
            "--no-fund",
            "--prefer-offline",
            "--loglevel=error",
        ])
        .current_dir(work)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("cannot run npm: {error}"))?;
    let begun = Instant::now();
    loop {
        match npm.try_wait()? {
            Some(status) if status.success() => return Ok(()),
            Some(status) => return Err(format!("npm ci ended with {status}").into()),
            None if begun.elapsed() > PATIENCE => {
                npm.kill()?;
                npm.wait()?;
                return Err(format!("npm ci took more than {} s", PATIENCE.as_secs()).into());
            }
            None => sleep(Duration::from_millis(50)),
        }
    }
}
