//! The child's walls: memory, time, files, network, programs.
//!
//! Limits first, then Landlock (no file system, where the kernel has it), then a seccomp filter
//! that knows only what computing needs: memory, reading and writing open descriptors, time, and
//! ending. Everything else answers EPERM: no socket, no file, no program, no other process. Text
//! recognition, which is another program, may read what belongs to it besides, and that is all.

use std::{collections::BTreeMap, error::Error, path::Path};

use landlock::{
    ABI, Access, AccessFs, AccessNet, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetStatus,
    path_beneath_rules,
};
use nix::{
    libc,
    sys::{
        resource::{Resource, getrlimit, setrlimit},
        signal::kill,
    },
    unistd::getppid,
};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule,
};

const MEMORY: u64 = 1024 * 1024 * 1024;
const CPU_SECONDS: u64 = 20;
/// Documents nest, and so do the functions that read them.
const STACK: u64 = 64 * 1024 * 1024;

/// What another program needs besides, to be found, linked and set up: reading files that Landlock
/// lets it read. Of its limits it may look at its own.
const ALLOWED_TO_RUN: &[libc::c_long] = &[
    libc::SYS_execve,
    libc::SYS_openat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_pread64,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_readlinkat,
    libc::SYS_getdents64,
    libc::SYS_fcntl,
    libc::SYS_getcwd,
    libc::SYS_uname,
    libc::SYS_sysinfo,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
    libc::SYS_set_tid_address,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_arch_prctl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_access,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_readlink,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_open,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_stat,
];

/// What such a program reads: itself, its libraries and its data.
const READABLE: [&str; 6] =
    ["/usr", "/lib", "/lib64", "/opt/homebrew", "/etc/ld.so.cache", "/dev/null"];

/// Lock this process in, for good.
pub(super) fn enter() -> Result<(), Box<dyn Error>> {
    limit()?;
    Ruleset::default()
        .handle_access(AccessFs::from_all(ABI::V5))?
        .handle_access(AccessNet::from_all(ABI::V5))?
        .create()?
        .restrict_self()?;
    // stdin, stdout and stderr are open; nothing else will be.
    setrlimit(Resource::RLIMIT_NOFILE, 3, 3)?;
    filter(&[])
}

/// The same for this process and the program that it becomes, which may read what belongs to it.
pub(super) fn enter_to_run(program: &Path) -> Result<(), Box<dyn Error>> {
    limit()?;
    let places = READABLE.iter().map(Path::new).chain([program]).filter(|place| place.exists());
    let walls = Ruleset::default()
        .handle_access(AccessFs::from_all(ABI::V5))?
        .handle_access(AccessNet::from_all(ABI::V5))?
        .create()?
        .add_rules(path_beneath_rules(places, AccessFs::from_read(ABI::V5)))?
        .restrict_self()?;
    // The filter lets it open files: which ones, only Landlock knows.
    if walls.ruleset == RulesetStatus::NotEnforced {
        return Err("this system has no Landlock".into());
    }
    setrlimit(Resource::RLIMIT_NOFILE, 64, 64)?;
    filter(ALLOWED_TO_RUN)
}

fn limit() -> Result<(), Box<dyn Error>> {
    setrlimit(Resource::RLIMIT_AS, MEMORY, MEMORY)?;
    setrlimit(Resource::RLIMIT_CPU, CPU_SECONDS, CPU_SECONDS)?;
    let (_, most) = getrlimit(Resource::RLIMIT_STACK)?;
    setrlimit(Resource::RLIMIT_STACK, STACK.min(most), STACK.min(most))?;
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    setrlimit(Resource::RLIMIT_FSIZE, 0, 0)?;
    Ok(())
}

fn filter(more: &[libc::c_long]) -> Result<(), Box<dyn Error>> {
    let allowed = ALLOWED.iter().chain(more);
    let mut rules: BTreeMap<_, _> = allowed.map(|call| (*call, Vec::new())).collect();
    // A process may end itself, which is how `abort` works, and no other.
    let own = u64::from(std::process::id());
    let own = SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, own)?;
    rules.insert(libc::SYS_tgkill, vec![SeccompRule::new(vec![own])?]);
    if !more.is_empty() {
        // It may ask for its limits, and set none.
        let asks = SeccompCondition::new(2, SeccompCmpArgLen::Qword, SeccompCmpOp::Eq, 0)?;
        rules.insert(libc::SYS_prlimit64, vec![SeccompRule::new(vec![asks])?]);
    }
    let filter = SeccompFilter::new(
        rules,
        SeccompAction::Errno(libc::EPERM.unsigned_abs()),
        SeccompAction::Allow,
        std::env::consts::ARCH.try_into()?,
    )?;
    let program: BpfProgram = filter.try_into()?;
    seccompiler::apply_filter(&program)?;
    Ok(())
}

const ALLOWED: [libc::c_long; 33] = [
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_close,
    libc::SYS_fstat,
    libc::SYS_lseek,
    libc::SYS_mmap,
    libc::SYS_mprotect,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_brk,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_futex,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_getrandom,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_gettimeofday,
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_ppoll,
    libc::SYS_restart_syscall,
    libc::SYS_set_robust_list,
    libc::SYS_rseq,
    libc::SYS_exit,
    libc::SYS_exit_group,
];

/// What a locked-in process tries in vain, for `callslip extract --check`: the names of the walls
/// that did not hold.
pub(super) fn breaches() -> Vec<&'static str> {
    let mut breaches = Vec::new();
    if std::net::TcpListener::bind("127.0.0.1:0").is_ok() {
        breaches.push("listen on a TCP port");
    }
    if std::net::UdpSocket::bind("127.0.0.1:0").is_ok() {
        breaches.push("open a UDP socket");
    }
    if std::os::unix::net::UnixStream::pair().is_ok() {
        breaches.push("open a Unix socket");
    }
    if std::fs::read("/etc/hostname").is_ok() || std::fs::read("/etc/passwd").is_ok() {
        breaches.push("read a file");
    }
    if std::fs::write("/tmp/callslip-check", "x").is_ok() {
        breaches.push("write a file");
    }
    if std::process::Command::new("/bin/true").status().is_ok() {
        breaches.push("run a program");
    }
    if kill(getppid(), None).is_ok() {
        breaches.push("signal another process");
    }
    if std::thread::Builder::new().spawn(|| ()).is_ok() {
        breaches.push("start a thread");
    }
    if Vec::<u8>::new().try_reserve_exact(2 * 1024 * 1024 * 1024).is_ok() {
        breaches.push("take 2 GiB of memory");
    }
    if setrlimit(Resource::RLIMIT_CPU, u64::MAX, u64::MAX).is_ok() {
        breaches.push("raise its own limits");
    }
    breaches
}
