//! Servers of others to compare with: what there is, how it is installed, and how it is started.

mod rust;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

pub(crate) use rust::{Options, run};

use crate::child::{Running, own_program};

/// Versions are fixed, so that figures of two days can be compared.
const WS_VERSION: &str = "8.23.0";
const BUN_VERSION: &str = "1.4.5";
const PYTHON_WEBSOCKETS_VERSION: &str = "17.4";

/// A server of others.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer {
    pub(crate) name: &'static str,
    pub(crate) broadcast: &'static str,
    /// Where it sends messages back, if it does.
    pub(crate) echo: Option<&'static str>,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A part of this program.
    Rust(&'static str),
    Ws,
    Bun,
    PythonWebsockets,
    Gorilla,
    Nchan,
}

/// A peer that is ready to be started.
#[derive(Clone, Debug)]
pub(crate) struct Installed {
    /// Program and first arguments.
    command: Vec<PathBuf>,
    folder: PathBuf,
}

/// All that are known.
pub(crate) fn all() -> Vec<Peer> {
    let peer = |name, kind| Peer { name, broadcast: "broadcast", echo: Some("echo"), kind };
    vec![
        peer("bun", Kind::Bun),
        peer("tokio-tungstenite", Kind::Rust("tokio-tungstenite")),
        peer("fastwebsockets", Kind::Rust("fastwebsockets")),
        peer("gorilla", Kind::Gorilla),
        peer("ws", Kind::Ws),
        peer("python-websockets", Kind::PythonWebsockets),
        Peer { echo: None, ..peer("nchan", Kind::Nchan) },
    ]
}

impl Peer {
    /// Installs what is missing, in a folder of its own where that is possible.
    ///
    /// # Errors
    /// Why it cannot take part, and what would help.
    pub(crate) fn prepare(&self, folder: &Path) -> Result<Installed, String> {
        let folder = folder.join(self.name);
        fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let folder = fs::canonicalize(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let command = match self.kind {
            Kind::Rust(name) => vec![own_program()?, "peer".into(), name.into()],
            Kind::Ws => {
                install_npm("ws", WS_VERSION, &folder)?;
                vec![
                    find_or_install("node", "nodejs")?,
                    write(&folder, "ws.mjs", include_str!("../../peers/ws.mjs"))?,
                ]
            }
            Kind::Bun => {
                install_npm("bun", BUN_VERSION, &folder)?;
                let bun = folder.join("node_modules/.bin/bun");
                vec![bun, write(&folder, "bun.js", include_str!("../../peers/bun.js"))?]
            }
            Kind::PythonWebsockets => {
                let source = include_str!("../../peers/python_websockets.py");
                vec![install_python(&folder)?, write(&folder, "python_websockets.py", source)?]
            }
            Kind::Gorilla => vec![build_gorilla(&folder)?],
            Kind::Nchan => install_nchan(&folder)?,
        };
        Ok(Installed { command, folder })
    }

    /// Starts it on a port of this machine.
    ///
    /// # Errors
    /// If it does not listen in time.
    pub(crate) fn start(&self, installed: &Installed, port: u16) -> Result<Running, String> {
        // A child has the open files of its parent.
        let _ = rlimit::increase_nofile_limit(u64::MAX);
        let [program, arguments @ ..] = &installed.command[..] else {
            return Err("nothing to start".to_owned());
        };
        let mut command = Command::new(program);
        command.args(arguments).current_dir(&installed.folder);
        match self.kind {
            Kind::Rust(_) => drop(command.args(["--port", &port.to_string()])),
            Kind::Nchan => {
                let template = fs::read_to_string(installed.folder.join("nchan.conf")).unwrap_or_default();
                let text = template.replace("PORT", &port.to_string());
                let path = write(&installed.folder, "running.conf", &text)?;
                command.arg("-c").arg(path).arg("-p").arg(&installed.folder);
            }
            // One thread, as the others.
            Kind::Gorilla => drop(command.arg(port.to_string()).env("GOMAXPROCS", "1")),
            _ => drop(command.arg(port.to_string())),
        }
        Running::start(self.name, command, port)
    }
}

fn write(folder: &Path, name: &str, text: &str) -> Result<PathBuf, String> {
    let path = folder.join(name);
    fs::write(&path, text).map(|()| path.clone()).map_err(|error| format!("{}: {error}", path.display()))
}

/// A program in PATH; else the one of a Debian package, which is installed for it.
fn find_or_install(name: &str, package: &str) -> Result<PathBuf, String> {
    let find = || {
        let path = std::env::var_os("PATH")?;
        std::env::split_paths(&path).map(|folder| folder.join(name)).find(|path| path.is_file())
    };
    if let Some(path) = find() {
        return Ok(path);
    }
    install_debian(&[package])?;
    find().ok_or_else(|| format!("there is no {name}, not even in the package {package}"))
}

/// # Errors
/// With the last line of what apt-get said.
fn install_debian(packages: &[&str]) -> Result<(), String> {
    let mut install = Command::new("apt-get");
    install.args(["install", "-y", "-qq", "--no-install-recommends"]).args(packages);
    install.env("DEBIAN_FRONTEND", "noninteractive");
    let mut update = Command::new("apt-get");
    update.args(["update", "-qq"]);
    run_to_end(&mut update).and_then(|()| run_to_end(&mut install)).map_err(|error| {
        format!(
            "cannot install {}: {error}; as root on Debian: apt-get install {}",
            packages.join(" "),
            packages.join(" ")
        )
    })
}

fn install_npm(package: &str, version: &str, folder: &Path) -> Result<(), String> {
    let there = fs::read_to_string(folder.join("node_modules").join(package).join("package.json"))
        .unwrap_or_default();
    if there.contains(&format!("\"version\": \"{version}\"")) {
        return Ok(());
    }
    let mut npm = Command::new(find_or_install("npm", "npm")?);
    npm.args(["install", "--silent", "--no-audit", "--no-fund", "--prefix"]).arg(folder);
    npm.arg(format!("{package}@{version}"));
    run_to_end(&mut npm).map_err(|error| format!("npm cannot install {package} {version}: {error}"))
}

/// Returns the Python of a virtual environment with the package.
fn install_python(folder: &Path) -> Result<PathBuf, String> {
    let python = folder.join("venv/bin/python");
    let requirement = format!("websockets=={PYTHON_WEBSOCKETS_VERSION}");
    let check = format!("import websockets; assert websockets.__version__ == '{PYTHON_WEBSOCKETS_VERSION}'");
    if run_to_end(Command::new(&python).args(["-c", &check])).is_ok() {
        return Ok(python);
    }
    let system = find_or_install("python3", "python3")?;
    let mut venv = Command::new(&system);
    venv.args(["-m", "venv"]).arg(folder.join("venv"));
    if run_to_end(&mut venv).is_err() {
        install_debian(&["python3-venv"])?;
        run_to_end(&mut venv).map_err(|error| format!("no virtual environment: {error}"))?;
    }
    run_to_end(Command::new(&python).args(["-m", "pip", "install", "--quiet", &requirement]))
        .map_err(|error| format!("pip cannot install {requirement}: {error}"))?;
    Ok(python)
}

/// Builds against Debian's package, which is a source tree in the old layout of Go.
fn build_gorilla(folder: &Path) -> Result<PathBuf, String> {
    let sources = Path::new("/usr/share/gocode/src/github.com/gorilla/websocket");
    if !sources.is_dir() {
        install_debian(&["golang-go", "golang-github-gorilla-websocket-dev"])?;
    }
    let go = find_or_install("go", "golang-go")?;
    let server = folder.join("server");
    let main = write(folder, "main.go", include_str!("../../peers/gorilla/main.go"))?;
    let mut build = Command::new(go);
    build.args(["build", "-o"]).arg(&server).arg(main).current_dir(folder);
    build.envs([("GO111MODULE", "off"), ("GOPATH", "/usr/share/gocode"), ("GOFLAGS", "")]);
    build.env("GOCACHE", folder.join("cache"));
    run_to_end(&mut build).map_err(|error| format!("go cannot build it: {error}"))?;
    Ok(server)
}

fn install_nchan(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let module = Path::new("/usr/lib/nginx/modules/ngx_nchan_module.so");
    if !module.is_file() {
        install_debian(&["nginx", "libnginx-mod-nchan"])?;
    }
    let nginx = find_or_install("nginx", "nginx").or_else(|error| {
        let path = PathBuf::from("/usr/sbin/nginx");
        if path.is_file() { Ok(path) } else { Err(error) }
    })?;
    let text = include_str!("../../peers/nchan.conf");
    let text = text.replace("MODULE", &module.to_string_lossy()).replace("FOLDER", &folder.to_string_lossy());
    write(folder, "nchan.conf", &text)?;
    Ok(vec![nginx])
}

/// Runs a command to its end.
///
/// # Errors
/// With the last line that it printed.
fn run_to_end(command: &mut Command) -> Result<(), String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    Err(said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it fails").trim().to_owned())
}
