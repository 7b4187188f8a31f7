use super::*;

/// What comes of arguments and variables where so many files may be open: a configuration, or words.
fn read(arguments: &[&str], variables: &[(&str, &str)], files: u64) -> Result<Config, String> {
    let arguments: Vec<OsString> = std::iter::once(&"wsloop").chain(arguments).map(Into::into).collect();
    let variables = variables.iter().map(|(name, value)| (name.into(), value.into())).collect();
    Config::read(&arguments, &variables, files).map_err(|error| match error {
        Wrong::Usage(error) => error.to_string(),
        Wrong::Files(error) => error.to_string(),
    })
}

fn config(arguments: &[&str]) -> Result<Config, String> {
    read(arguments, &[], 1000)
}

#[test]
fn the_declaration_holds_together() {
    Options::command().debug_assert();
}

#[test]
fn defaults() {
    let config = config(&[]).expect("defaults are valid");
    assert_eq!(config.addresses.users.to_string(), "127.0.0.1:8080");
    let limits = config.limits.connection;
    assert_eq!(limits.websocket.message_bytes_max, 65_536);
    assert_eq!(limits.websocket.fragments_max, 16_384);
    assert_eq!(limits.outbox_bytes_max, 1 << 20);
    assert_eq!(config.limits.clients_max, 936);
}

#[test]
fn sizes_and_times() {
    for (text, wanted) in [
        ("1", Some(1)),
        ("64K", Some(65_536)),
        ("2m", Some(2 << 20)),
        ("1024M", Some(1 << 30)),
        ("1025M", None),
        ("0", None),
        ("", None),
        ("K", None),
        ("-1", None),
        ("+1", None),
        ("1.5M", None),
        ("64KB", None),
        ("99999999999999999999M", None),
    ] {
        assert_eq!(parse_size(text).ok(), wanted, "{text:?}");
    }
    for (text, wanted) in [
        ("0", Some(0)),
        ("250ms", Some(250)),
        ("10s", Some(10_000)),
        ("2m", Some(120_000)),
        ("10", None),
        ("s", None),
        ("-1s", None),
        ("1h", None),
        ("", None),
    ] {
        assert_eq!(parse_time(text).ok(), wanted.map(Duration::from_millis), "{text:?}");
    }
}

#[test]
fn the_queue_follows_the_message_and_is_never_too_small_for_it() {
    let queue =
        |arguments: &[&str]| config(arguments).map(|config| config.limits.connection.outbox_bytes_max);
    assert_eq!(queue(&["--max-message", "16M"]), Ok(32 << 20));
    assert_eq!(queue(&["--max-message", "16M", "--max-queue", "32M"]), Ok(32 << 20));
    assert!(queue(&["--max-message", "1M", "--max-queue", "1M"]).expect_err("too small").contains("twice"));
}

#[test]
fn what_cannot_be_is_said_with_what_to_do() {
    for (arguments, word) in [
        (["--max-clients", "937"], "ulimit -n 1001"),
        (["--port", "65536"], "--port"),
        (["--port", "http"], "give a port from 1 to 65535, or 0"),
        (["--port", "+80"], "give a port from 1 to 65535, or 0"),
        (["--max-clients", "0"], "a whole number from 1 to 4294967295"),
        (["--max-fragments", "many"], "a whole number from 1 to 4294967295"),
        (["--max-per-ip", "4294967296"], "a whole number from 1 to 4294967295"),
        (["--history", "10001"], "a whole number from 0 to 10000"),
        (["--log-level", "loud"], "give off, error, warn"),
        (["--host", "example.com"], "IP address"),
        (["--admin", "9090"], "IP address and a port"),
        (["--max-message", "64X"], "with K or M"),
        (["--max-message", "1025M"], "from 1 to 1024M"),
        (["--max-queue", "2049M"], "from 1 to 2048M"),
        (["--max-buffered", "65537M"], "from 1 to 65536M"),
        (["--send-buffer", "4095"], "from 4K to 1024M"),
        (["--host", "224.0.0.1"], "a multicast address"),
        (["--host", "ff02::1"], "a multicast address"),
        (["--host", "::ffff:239.1.2.3"], "a multicast address"),
        (["--host", "255.255.255.255"], "a broadcast address"),
        (["--admin", "224.0.0.1:9090"], "a multicast address"),
        (["--admin", "127.0.0.1:8080"], "give it another port"),
        (["--ping-interval", "20"], "for instance 10s"),
        (["--handshake-timeout", "0"], "more than no time"),
        (["--pong-timeout", "0s"], "more than no time"),
        (["--origin", "example.com"], "https://example.com"),
        (["--origin", "https://example.com/page"], "https://example.com"),
        (["--allow-host", "a:80"], "without a port"),
        (["--log-level", "loud"], "--log-level"),
    ] {
        let error = config(&arguments).expect_err(arguments[1]);
        assert!(error.contains(word), "{arguments:?}: {error}");
    }
    assert_eq!(config(&["--max-clients", "936"]).expect("just enough").limits.clients_max, 936);
}

#[test]
fn the_largest_message_fits_all_other_limits() {
    let limits = |arguments: &[&str]| {
        let limits = config(arguments)?.limits;
        Ok::<_, String>((limits.connection.outbox_bytes_max, limits.buffered_bytes_max))
    };
    assert_eq!(limits(&["--max-message", "1024M"]), Ok((2 << 30, 4 << 30)));
    assert_eq!(
        limits(&["--max-message", "1024M", "--max-queue", "2048M", "--max-buffered", "4096M"]),
        Ok((2 << 30, 4 << 30))
    );
    for (arguments, wanted) in [
        (["--max-message", "1024M", "--max-queue", "2047M"], "twice --max-message, here 2048M"),
        (["--max-message", "1024M", "--max-buffered", "2048M"], "twice --max-queue, here 4096M"),
        (["--max-message", "1536", "--max-queue", "1"], "twice --max-message, here 3K"),
    ] {
        let error = limits(&arguments).expect_err(wanted);
        assert!(error.contains(wanted), "{error}");
    }
}

#[test]
fn origins_are_put_right_or_refused_with_advice() {
    for (text, wanted) in [
        ("https://a.example", "https://a.example"),
        ("https://a.example/", "https://a.example"),
        ("https://a.example:443", "https://a.example"),
        ("https://a.example:443/", "https://a.example"),
        ("http://a.example:80", "http://a.example"),
        ("http://a.example:443", "http://a.example:443"),
        ("https://a.example:80", "https://a.example:80"),
        ("https://a.example:0443", "https://a.example"),
        ("HTTPS://A.Example:8443", "https://a.example:8443"),
        (" https://a.example ", "https://a.example"),
        ("http://[0:0::1]:80", "http://[::1]"),
        ("http://127.0.0.1:3000", "http://127.0.0.1:3000"),
        ("chrome-extension://AbCdEf", "chrome-extension://abcdef"),
        ("capacitor://localhost", "capacitor://localhost"),
    ] {
        assert_eq!(parse_origin(text).as_deref(), Ok(wanted), "{text}");
    }
    for (text, wanted) in [
        ("*", "no wildcards"),
        ("https://*.example.com", "no wildcards"),
        ("null", "names nobody"),
        ("NULL", "names nobody"),
        ("", "https://example.com"),
        ("a.example", "https://example.com"),
        ("a.example:443", "https://example.com"),
        ("//a.example", "https://example.com"),
        ("://a.example", "https://example.com"),
        ("1http://a.example", "https://example.com"),
        ("https:a.example", "https://example.com"),
        ("https://", "https://example.com"),
        ("https:///", "https://example.com"),
        ("https://a b", "https://example.com"),
        ("https://a.example:", "https://example.com"),
        ("https://a.example:65536", "https://example.com"),
        ("https://a.example:port", "https://example.com"),
        ("https://a.example:0", "port 0"),
        ("https://[::1", "https://example.com"),
        ("https://a.example//", "no path"),
        ("https://a.example/page", "no path"),
        ("https://a.example?x", "no path"),
        ("https://a.example#x", "no path"),
        ("https://me@a.example", "no user"),
        ("https://bücher.example", "xn--"),
        ("wss://a.example", "https: rather than wss:"),
        ("file:///home", "files have no origin"),
    ] {
        let error = parse_origin(text).expect_err(text);
        assert!(error.contains(wanted) && error.contains("https://example.com"), "{text}: {error}");
    }
}

#[test]
fn errors_from_the_environment_name_the_variable() {
    // Every option has one, and each says which it was.
    let command = Options::command();
    let options: Vec<_> = command.get_arguments().filter(|option| option.get_env().is_some()).collect();
    assert!(options.len() > 20);
    for option in options {
        let variable = option.get_env().and_then(std::ffi::OsStr::to_str).expect("a name");
        let flag = format!("--{}", option.get_long().expect("each has one"));
        assert_eq!(variable, format!("WSLOOP_{}", flag[2..].replace('-', "_").to_uppercase()));
        let error = read(&[], &[(variable, "\u{1}\u{2} no value of any")], 1000).expect_err(variable);
        assert!(error.contains(variable) && error.contains(&flag), "{error}");
    }
    for (variables, wanted) in [
        (&[("WSLOOP_PORT", "70000")][..], "WSLOOP_PORT (--port <PORT>)"),
        (&[("WSLOOP_PORT", "tcp://10.0.0.1:8080")], "WSLOOP_PORT (--port <PORT>)"),
        (&[("WSLOOP_NO_COMPRESSION", "maybe")], "WSLOOP_NO_COMPRESSION (--no-compression)"),
        (&[("WSLOOP_ORIGIN", "https://a.example,b")], "WSLOOP_ORIGIN (--origin <ORIGIN>)"),
        (&[("WSLOOP_MAX_MESSAGE", "1M"), ("WSLOOP_MAX_QUEUE", "1M")], "--max-queue (from WSLOOP_MAX_QUEUE)"),
        (
            &[("WSLOOP_MAX_MESSAGE", "1M"), ("WSLOOP_MAX_QUEUE", "1M")],
            "--max-message (from WSLOOP_MAX_MESSAGE)",
        ),
        (&[("WSLOOP_MAX_CLIENTS", "937")], "--max-clients (from WSLOOP_MAX_CLIENTS)"),
    ] {
        let error = read(&[], variables, 1000).expect_err(wanted);
        assert!(error.contains(wanted), "{error}");
    }
    let error = read(&["--port", "x"], &[("WSLOOP_PORT", "1")], 1000).expect_err("no port");
    assert!(!error.contains("WSLOOP_PORT"), "{error}");
    let error = read(&["--max-queue", "1M"], &[("WSLOOP_MAX_MESSAGE", "1M")], 1000).expect_err("too small");
    assert!(!error.contains("WSLOOP_MAX_QUEUE"), "{error}");
}

#[test]
fn variables_stand_for_what_is_not_given_and_empty_ones_for_nothing() {
    let port = |arguments: &[&str], value| {
        read(arguments, &[("WSLOOP_PORT", value)], 1000).map(|config| config.addresses.users.port())
    };
    assert_eq!(port(&[], "81"), Ok(81));
    assert_eq!(port(&["--port", "82"], "81"), Ok(82));
    assert_eq!(port(&["--port=82"], "no port"), Ok(82), "who is overruled is not asked");
    assert_eq!(port(&[], ""), Ok(8080));
    // An empty environment of all options is the default, and no warning.
    let command = Options::command();
    let names: Vec<&str> = command.get_arguments().filter_map(|option| option.get_env()?.to_str()).collect();
    let empty: Vec<_> = names.iter().map(|&name| (name, "")).chain([("RUST_LOG", "")]).collect();
    let config = read(&[], &empty, 1000).expect("as if there were none");
    assert_eq!(config.addresses.users.to_string(), "127.0.0.1:8080");
    assert_eq!(config.warnings, [""; 0]);
}

#[test]
fn flags_by_environment_are_on_or_off_or_refused() {
    for (value, wanted) in [
        ("1", Some(true)),
        ("true", Some(true)),
        ("YES", Some(true)),
        ("on", Some(true)),
        ("0", Some(false)),
        ("False", Some(false)),
        ("no", Some(false)),
        ("off", Some(false)),
        ("", Some(false)),
        ("maybe", None),
        ("2", None),
        (" ", None),
    ] {
        let arguments = [OsString::from("wsloop")];
        let variables = vec![("WSLOOP_NO_COMPRESSION".into(), value.into())];
        let given = Given::read(&Options::command(), &arguments, &variables).ok();
        assert_eq!(given.map(|given| given.matches.get_flag("no_compression")), wanted, "{value:?}");
    }
}

#[test]
fn names_and_levels_that_nobody_reads_are_warned_of() {
    for (variable, value, wanted) in [
        ("WSLOOP_PROT", "1", "did you mean WSLOOP_PORT?"),
        ("WSLOOP_MAXMESSAGE", "1", "did you mean WSLOOP_MAX_MESSAGE?"),
        ("wsloop_port", "1", "did you mean WSLOOP_PORT?"),
        ("WSLOOP_ORIGINS", "", "did you mean WSLOOP_ORIGIN?"),
        ("WSLOOP_SERVICE_HOST", "1", "WSLOOP_SERVICE_HOST is no option of wsloop: see --help"),
        ("WSLOOP_\u{1b}[2J", "1", "WSLOOP_\\u{1b}[2J"),
        ("RUST_LOG", "loud", "RUST_LOG is \"loud\""),
        ("RUST_LOG", "wsloop=debug,mio=warn", "not understood"),
    ] {
        let config = read(&[], &[(variable, value)], 1000).expect("it starts all the same");
        assert!(config.warnings.len() == 1 && config.warnings[0].contains(wanted), "{:?}", config.warnings);
    }
    for (arguments, variable, value) in [
        (&[][..], "WSLOOP_PORT", "1"),
        (&[], "RUST_LOG", "DEBUG"),
        (&["--log-level", "warn"], "RUST_LOG", "loud"),
        (&[], "WSLOOPS", "1"),
        (&[], "PATH", "1"),
    ] {
        let config = read(arguments, &[(variable, value)], 1000).expect("valid");
        assert_eq!(config.warnings, [""; 0], "{variable}={value}");
    }
    let many: Vec<String> = (0..50).map(|number| format!("WSLOOP_PORT_{number}_TCP_ADDR")).collect();
    let many: Vec<_> = many.iter().map(|name| (name.as_str(), "1")).collect();
    let warnings = read(&[], &many, 1000).expect("valid").warnings;
    assert_eq!(warnings.len(), 11);
    assert!(warnings[10].starts_with("40 more"), "{warnings:?}");
}

#[test]
fn few_open_files_are_warned_of_and_too_few_refused() {
    for (arguments, files, wanted) in [
        (&[][..], 1024, Ok((960, ""))),
        (&[], 320, Ok((256, ""))),
        (&[], 319, Ok((255, "no more than 255 clients; raise it with `ulimit -n 4096`"))),
        (&[], 80, Ok((16, "no more than 16 clients"))),
        (&[], 79, Err("`ulimit -n 4096`, or ask for no more than 15 with --max-clients")),
        (&[], 20, Err("the limit of open files is 20, of which 64 are not for clients")),
        (&["--max-clients", "15"], 79, Ok((15, ""))),
        (&["--max-clients", "16"], 79, Err("`ulimit -n 80` or lower --max-clients to 15")),
        (&["--max-clients", "1"], 20, Err("raise it with `ulimit -n 65`")),
    ] {
        match (read(arguments, &[], files), wanted) {
            (Ok(config), Ok((clients, warning))) => {
                assert_eq!(config.limits.clients_max, clients, "{files}");
                assert_eq!(config.warnings.is_empty(), warning.is_empty(), "{:?}", config.warnings);
                assert!(config.warnings.concat().contains(warning), "{:?}", config.warnings);
            }
            (Err(error), Err(words)) => assert!(error.contains(words), "{files}: {error}"),
            (got, _) => panic!("{arguments:?} with {files}: {got:?}"),
        }
    }
}
