//! `portcullis completions` and `portcullis man`.

use std::fs;

use crate::process::portcullis;

#[test]
fn each_shell_gets_completions_that_know_the_commands() {
    let dir = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ended = portcullis(dir.path(), &["completions", shell]);
        assert_eq!((ended.status, ended.stderr.as_str()), (0, ""), "{shell}");
        for word in ["explain-token", "revocations", "inspect", "--jwks"] {
            // fish writes options without their hyphens.
            let word = if shell == "fish" {
                word.trim_start_matches('-')
            } else {
                word
            };
            assert!(ended.stdout.contains(word), "{shell}: {word}");
        }
    }
    let ended = portcullis(dir.path(), &["completions", "cmd"]);
    assert_eq!((ended.status, ended.stdout.as_str()), (2, ""));
}

#[test]
fn bash_takes_the_completions() {
    let dir = tempfile::tempdir().unwrap();
    let script = portcullis(dir.path(), &["completions", "bash"]).stdout;
    let ask = "\nCOMP_WORDS=(portcullis insp); COMP_CWORD=1; _portcullis portcullis insp portcullis; echo \"${COMPREPLY[*]}\"\n";
    fs::write(dir.path().join("ask.sh"), script + ask).unwrap();
    let output = std::process::Command::new("bash")
        .arg("ask.sh")
        .current_dir(dir.path())
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "inspect\n", "{output:?}");
}

#[test]
fn man_pages_have_the_options_and_the_exit_statuses() {
    let dir = tempfile::tempdir().unwrap();
    let whole = portcullis(dir.path(), &["man"]);
    assert_eq!((whole.status, whole.stderr.as_str()), (0, ""));
    assert!(whole.stdout.contains(".TH portcullis 1"), "{}", whole.stdout);
    let page = portcullis(dir.path(), &["man", "inspect"]);
    for part in [".TH portcullis-inspect 1", "jwks", "EXIT STATUS", "SYNOPSIS"] {
        assert!(page.stdout.contains(part), "{part}: {}", page.stdout);
    }
    let unknown = portcullis(dir.path(), &["man", "docs"]);
    assert_eq!((unknown.status, unknown.stdout.as_str()), (1, ""));
    assert_eq!(unknown.stderr, "error: there is no command docs\n");

    let all = portcullis(dir.path(), &["man", "--directory", "man"]);
    assert_eq!((all.status, all.stdout.as_str(), all.stderr.as_str()), (0, "", ""));
    let names: Vec<String> = fs::read_dir(dir.path().join("man"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    for name in [
        "portcullis.1",
        "portcullis-inspect.1",
        "portcullis-explain-token.1",
        "portcullis-serve.1",
    ] {
        assert!(names.iter().any(|written| written == name), "{name}: {names:?}");
    }
    assert!(!names.iter().any(|name| name.contains("docs")), "{names:?}");
}
