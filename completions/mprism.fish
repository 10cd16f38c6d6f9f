# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_mprism_global_optspecs
    string join \n home= config= port-offset= json q/quiet v/verbose color= lang= yes dry-run h/help V/version
end

function __fish_mprism_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_mprism_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_mprism_using_subcommand
    set -l cmd (__fish_mprism_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c mprism -n "__fish_mprism_needs_command" -l home -d 'State folder [env: MPRISM_HOME] [default: $XDG_DATA_HOME/mprism, else ~/.local/share/mprism]' -r -F
complete -c mprism -n "__fish_mprism_needs_command" -l config -d 'YAML file laid over the built-in defaults and <home>/config/*.yaml [env: MPRISM_CONFIG]' -r -F
complete -c mprism -n "__fish_mprism_needs_command" -l port-offset -d 'Moves every port of this home by N, a multiple of 100 [env: MPRISM_PORT_OFFSET]' -r
complete -c mprism -n "__fish_mprism_needs_command" -l color -d 'Colour, which is never part of the meaning [env: NO_COLOR]' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c mprism -n "__fish_mprism_needs_command" -l lang -d 'Language of the operator\'s screens; documents stay English [env: LC_ALL, LC_MESSAGES, LANG]' -r -f -a "en\t'English'
zh\t'Simplified Chinese'"
complete -c mprism -n "__fish_mprism_needs_command" -l json -d 'Print one JSON document on standard output'
complete -c mprism -n "__fish_mprism_needs_command" -s q -l quiet -d 'Say less on standard error'
complete -c mprism -n "__fish_mprism_needs_command" -s v -l verbose -d 'Say more on standard error'
complete -c mprism -n "__fish_mprism_needs_command" -l yes -d 'Answer every confirmation with yes'
complete -c mprism -n "__fish_mprism_needs_command" -l dry-run -d 'Print the plan and change nothing'
complete -c mprism -n "__fish_mprism_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mprism -n "__fish_mprism_needs_command" -s V -l version -d 'Print version'
complete -c mprism -n "__fish_mprism_needs_command" -f -a "init" -d 'Make or repair a home: folders, credentials, dependencies, tables, streams'
complete -c mprism -n "__fish_mprism_needs_command" -f -a "up" -d 'From whatever there is to verified data: init, start, health, integrity, a summary'
complete -c mprism -n "__fish_mprism_needs_command" -f -a "down" -d 'Stop everything, the simulator too'
complete -c mprism -n "__fish_mprism_needs_command" -f -a "start" -d 'Start services in the order they need each other; already running is success'
complete -c mprism -n "__fish_mprism_needs_command" -f -a "stop" -d 'Stop services in reverse order; nothing accepted is lost'
complete -c mprism -n "__fish_mprism_needs_command" -f -a "restart" -d 'Stop and start with the options of the last start'
complete -c mprism -n "__fish_mprism_needs_command" -f -a "status" -d 'What runs: state, pid, uptime, restarts, memory, address'
complete -c mprism -n "__fish_mprism_needs_command" -f -a "health" -d 'Ask every endpoint and look at the data flow'
complete -c mprism -n "__fish_mprism_needs_command" -f -a "top" -d 'Everything that runs, live: services, rows a second, backlog, latency, gaps, errors'
complete -c mprism -n "__fish_mprism_needs_command" -f -a "integrity" -d 'Prove by arithmetic that what is stored is complete and consistent'
complete -c mprism -n "__fish_mprism_needs_command" -f -a "repair" -d 'Mend what integrity found: doubled, missing and unreadable rows, gaps, dead letters'
complete -c mprism -n "__fish_mprism_needs_command" -f -a "cold" -d 'The cold store by hand'
complete -c mprism -n "__fish_mprism_needs_command" -f -a "verify" -d 'What the cold store has of the hot one, table by table; changes nothing'
complete -c mprism -n "__fish_mprism_needs_command" -f -a "deps" -d 'Pinned dependencies: versions, checksums, where found'
complete -c mprism -n "__fish_mprism_needs_command" -f -a "env" -d 'Endpoints and credential paths for other programs'
complete -c mprism -n "__fish_mprism_needs_command" -f -a "diagnose" -d 'What stands in the way, worst first, and the command that mends it'
complete -c mprism -n "__fish_mprism_needs_command" -f -a "clean" -d 'Remove stale locks, files, sockets, unused containers and networks; data if asked to'
complete -c mprism -n "__fish_mprism_needs_command" -f -a "history" -d 'What operators did to this home: time, user, command, exit code'
complete -c mprism -n "__fish_mprism_needs_command" -f -a "config" -d 'Settings: show them with their origins, check them, change them'
complete -c mprism -n "__fish_mprism_needs_command" -f -a "query" -d 'Run SQL against the store'
complete -c mprism -n "__fish_mprism_needs_command" -f -a "export" -d 'Write rows of both stores to a Parquet, CSV or JSONL file, each row once'
complete -c mprism -n "__fish_mprism_needs_command" -f -a "infra" -d 'nats-server and ClickHouse in containers'
complete -c mprism -n "__fish_mprism_needs_command" -f -a "logs" -d 'Show logs of all services in one stream, ordered by time'
complete -c mprism -n "__fish_mprism_needs_command" -f -a "replay" -d 'Send recorded frames through the collector\'s own code'
complete -c mprism -n "__fish_mprism_needs_command" -f -a "smoke" -d 'The whole pipeline offline in a home of its own, one verdict: for CI'
complete -c mprism -n "__fish_mprism_needs_command" -f -a "bench" -d 'Measure on this machine what the README claims'
complete -c mprism -n "__fish_mprism_needs_command" -f -a "systemd" -d 'The supervisor as a systemd service'
complete -c mprism -n "__fish_mprism_needs_command" -f -a "completions" -d 'Completions for a shell'
complete -c mprism -n "__fish_mprism_needs_command" -f -a "man" -d 'Pages of the manual'
complete -c mprism -n "__fish_mprism_using_subcommand init" -l provider -d 'Where to fetch dependencies from' -r
complete -c mprism -n "__fish_mprism_using_subcommand init" -l home -d 'State folder [env: MPRISM_HOME] [default: $XDG_DATA_HOME/mprism, else ~/.local/share/mprism]' -r -F
complete -c mprism -n "__fish_mprism_using_subcommand init" -l config -d 'YAML file laid over the built-in defaults and <home>/config/*.yaml [env: MPRISM_CONFIG]' -r -F
complete -c mprism -n "__fish_mprism_using_subcommand init" -l port-offset -d 'Moves every port of this home by N, a multiple of 100 [env: MPRISM_PORT_OFFSET]' -r
complete -c mprism -n "__fish_mprism_using_subcommand init" -l color -d 'Colour, which is never part of the meaning [env: NO_COLOR]' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c mprism -n "__fish_mprism_using_subcommand init" -l lang -d 'Language of the operator\'s screens; documents stay English [env: LC_ALL, LC_MESSAGES, LANG]' -r -f -a "en\t'English'
zh\t'Simplified Chinese'"
complete -c mprism -n "__fish_mprism_using_subcommand init" -l offline -d 'Use only what is already on this machine'
complete -c mprism -n "__fish_mprism_using_subcommand init" -l force -d 'End foreign holders of our ports, after showing them'
complete -c mprism -n "__fish_mprism_using_subcommand init" -l json -d 'Print one JSON document on standard output'
complete -c mprism -n "__fish_mprism_using_subcommand init" -s q -l quiet -d 'Say less on standard error'
complete -c mprism -n "__fish_mprism_using_subcommand init" -s v -l verbose -d 'Say more on standard error'
complete -c mprism -n "__fish_mprism_using_subcommand init" -l yes -d 'Answer every confirmation with yes'
complete -c mprism -n "__fish_mprism_using_subcommand init" -l dry-run -d 'Print the plan and change nothing'
complete -c mprism -n "__fish_mprism_using_subcommand init" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mprism -n "__fish_mprism_using_subcommand up" -l sim-corpus -d 'Serve recorded frames from this folder' -r -F
complete -c mprism -n "__fish_mprism_using_subcommand up" -l sim-rate -d 'Events a second over all instruments, or max' -r
complete -c mprism -n "__fish_mprism_using_subcommand up" -l sim-seed -d 'Seed of the synthetic market' -r
complete -c mprism -n "__fish_mprism_using_subcommand up" -l sim-faults -d 'YAML list of faults to play' -r -F
complete -c mprism -n "__fish_mprism_using_subcommand up" -l for -d 'Stop after this time, counted from healthy' -r
complete -c mprism -n "__fish_mprism_using_subcommand up" -l provider -d 'Where to fetch dependencies from' -r
complete -c mprism -n "__fish_mprism_using_subcommand up" -l home -d 'State folder [env: MPRISM_HOME] [default: $XDG_DATA_HOME/mprism, else ~/.local/share/mprism]' -r -F
complete -c mprism -n "__fish_mprism_using_subcommand up" -l config -d 'YAML file laid over the built-in defaults and <home>/config/*.yaml [env: MPRISM_CONFIG]' -r -F
complete -c mprism -n "__fish_mprism_using_subcommand up" -l port-offset -d 'Moves every port of this home by N, a multiple of 100 [env: MPRISM_PORT_OFFSET]' -r
complete -c mprism -n "__fish_mprism_using_subcommand up" -l color -d 'Colour, which is never part of the meaning [env: NO_COLOR]' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c mprism -n "__fish_mprism_using_subcommand up" -l lang -d 'Language of the operator\'s screens; documents stay English [env: LC_ALL, LC_MESSAGES, LANG]' -r -f -a "en\t'English'
zh\t'Simplified Chinese'"
complete -c mprism -n "__fish_mprism_using_subcommand up" -l sim -d 'Collect from the exchange simulator instead of the exchanges'
complete -c mprism -n "__fish_mprism_using_subcommand up" -l sim-keep-time -d 'Keep the recorded times instead of shifting them to now'
complete -c mprism -n "__fish_mprism_using_subcommand up" -l force -d 'End foreign holders of our ports, after showing them'
complete -c mprism -n "__fish_mprism_using_subcommand up" -l take-over -d 'End a MarketPrism that runs, and go on with what it has'
complete -c mprism -n "__fish_mprism_using_subcommand up" -l offline -d 'Use only what is already on this machine'
complete -c mprism -n "__fish_mprism_using_subcommand up" -l json -d 'Print one JSON document on standard output'
complete -c mprism -n "__fish_mprism_using_subcommand up" -s q -l quiet -d 'Say less on standard error'
complete -c mprism -n "__fish_mprism_using_subcommand up" -s v -l verbose -d 'Say more on standard error'
complete -c mprism -n "__fish_mprism_using_subcommand up" -l yes -d 'Answer every confirmation with yes'
complete -c mprism -n "__fish_mprism_using_subcommand up" -l dry-run -d 'Print the plan and change nothing'
complete -c mprism -n "__fish_mprism_using_subcommand up" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mprism -n "__fish_mprism_using_subcommand down" -l home -d 'State folder [env: MPRISM_HOME] [default: $XDG_DATA_HOME/mprism, else ~/.local/share/mprism]' -r -F
complete -c mprism -n "__fish_mprism_using_subcommand down" -l config -d 'YAML file laid over the built-in defaults and <home>/config/*.yaml [env: MPRISM_CONFIG]' -r -F
complete -c mprism -n "__fish_mprism_using_subcommand down" -l port-offset -d 'Moves every port of this home by N, a multiple of 100 [env: MPRISM_PORT_OFFSET]' -r
complete -c mprism -n "__fish_mprism_using_subcommand down" -l color -d 'Colour, which is never part of the meaning [env: NO_COLOR]' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c mprism -n "__fish_mprism_using_subcommand down" -l lang -d 'Language of the operator\'s screens; documents stay English [env: LC_ALL, LC_MESSAGES, LANG]' -r -f -a "en\t'English'
zh\t'Simplified Chinese'"
complete -c mprism -n "__fish_mprism_using_subcommand down" -l json -d 'Print one JSON document on standard output'
complete -c mprism -n "__fish_mprism_using_subcommand down" -s q -l quiet -d 'Say less on standard error'
complete -c mprism -n "__fish_mprism_using_subcommand down" -s v -l verbose -d 'Say more on standard error'
complete -c mprism -n "__fish_mprism_using_subcommand down" -l yes -d 'Answer every confirmation with yes'
complete -c mprism -n "__fish_mprism_using_subcommand down" -l dry-run -d 'Print the plan and change nothing'
complete -c mprism -n "__fish_mprism_using_subcommand down" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mprism -n "__fish_mprism_using_subcommand start" -l sim-corpus -d 'Serve recorded frames from this folder' -r -F
complete -c mprism -n "__fish_mprism_using_subcommand start" -l sim-rate -d 'Events a second over all instruments, or max' -r
complete -c mprism -n "__fish_mprism_using_subcommand start" -l sim-seed -d 'Seed of the synthetic market' -r
complete -c mprism -n "__fish_mprism_using_subcommand start" -l sim-faults -d 'YAML list of faults to play' -r -F
complete -c mprism -n "__fish_mprism_using_subcommand start" -l wait -d 'Wait at most so many seconds for everything to be ready' -r
complete -c mprism -n "__fish_mprism_using_subcommand start" -l home -d 'State folder [env: MPRISM_HOME] [default: $XDG_DATA_HOME/mprism, else ~/.local/share/mprism]' -r -F
complete -c mprism -n "__fish_mprism_using_subcommand start" -l config -d 'YAML file laid over the built-in defaults and <home>/config/*.yaml [env: MPRISM_CONFIG]' -r -F
complete -c mprism -n "__fish_mprism_using_subcommand start" -l port-offset -d 'Moves every port of this home by N, a multiple of 100 [env: MPRISM_PORT_OFFSET]' -r
complete -c mprism -n "__fish_mprism_using_subcommand start" -l color -d 'Colour, which is never part of the meaning [env: NO_COLOR]' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c mprism -n "__fish_mprism_using_subcommand start" -l lang -d 'Language of the operator\'s screens; documents stay English [env: LC_ALL, LC_MESSAGES, LANG]' -r -f -a "en\t'English'
zh\t'Simplified Chinese'"
complete -c mprism -n "__fish_mprism_using_subcommand start" -l sim -d 'Collect from the exchange simulator instead of the exchanges'
complete -c mprism -n "__fish_mprism_using_subcommand start" -l sim-keep-time -d 'Keep the recorded times instead of shifting them to now'
complete -c mprism -n "__fish_mprism_using_subcommand start" -l foreground -d 'Supervise in this terminal until something stops everything; SIGINT and SIGTERM stop it and end with 130 and 143'
complete -c mprism -n "__fish_mprism_using_subcommand start" -l verify -d 'End with a health check and its exit code'
complete -c mprism -n "__fish_mprism_using_subcommand start" -l force -d 'End foreign holders of our ports, after showing them'
complete -c mprism -n "__fish_mprism_using_subcommand start" -l take-over -d 'End a MarketPrism that runs, and go on with what it has'
complete -c mprism -n "__fish_mprism_using_subcommand start" -l json -d 'Print one JSON document on standard output'
complete -c mprism -n "__fish_mprism_using_subcommand start" -s q -l quiet -d 'Say less on standard error'
complete -c mprism -n "__fish_mprism_using_subcommand start" -s v -l verbose -d 'Say more on standard error'
complete -c mprism -n "__fish_mprism_using_subcommand start" -l yes -d 'Answer every confirmation with yes'
complete -c mprism -n "__fish_mprism_using_subcommand start" -l dry-run -d 'Print the plan and change nothing'
complete -c mprism -n "__fish_mprism_using_subcommand start" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mprism -n "__fish_mprism_using_subcommand stop" -l timeout -d 'Seconds that each service has to finish what it holds' -r
complete -c mprism -n "__fish_mprism_using_subcommand stop" -l home -d 'State folder [env: MPRISM_HOME] [default: $XDG_DATA_HOME/mprism, else ~/.local/share/mprism]' -r -F
complete -c mprism -n "__fish_mprism_using_subcommand stop" -l config -d 'YAML file laid over the built-in defaults and <home>/config/*.yaml [env: MPRISM_CONFIG]' -r -F
complete -c mprism -n "__fish_mprism_using_subcommand stop" -l port-offset -d 'Moves every port of this home by N, a multiple of 100 [env: MPRISM_PORT_OFFSET]' -r
complete -c mprism -n "__fish_mprism_using_subcommand stop" -l color -d 'Colour, which is never part of the meaning [env: NO_COLOR]' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c mprism -n "__fish_mprism_using_subcommand stop" -l lang -d 'Language of the operator\'s screens; documents stay English [env: LC_ALL, LC_MESSAGES, LANG]' -r -f -a "en\t'English'
zh\t'Simplified Chinese'"
complete -c mprism -n "__fish_mprism_using_subcommand stop" -l json -d 'Print one JSON document on standard output'
complete -c mprism -n "__fish_mprism_using_subcommand stop" -s q -l quiet -d 'Say less on standard error'
complete -c mprism -n "__fish_mprism_using_subcommand stop" -s v -l verbose -d 'Say more on standard error'
complete -c mprism -n "__fish_mprism_using_subcommand stop" -l yes -d 'Answer every confirmation with yes'
complete -c mprism -n "__fish_mprism_using_subcommand stop" -l dry-run -d 'Print the plan and change nothing'
complete -c mprism -n "__fish_mprism_using_subcommand stop" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mprism -n "__fish_mprism_using_subcommand restart" -l home -d 'State folder [env: MPRISM_HOME] [default: $XDG_DATA_HOME/mprism, else ~/.local/share/mprism]' -r -F
complete -c mprism -n "__fish_mprism_using_subcommand restart" -l config -d 'YAML file laid over the built-in defaults and <home>/config/*.yaml [env: MPRISM_CONFIG]' -r -F
complete -c mprism -n "__fish_mprism_using_subcommand restart" -l port-offset -d 'Moves every port of this home by N, a multiple of 100 [env: MPRISM_PORT_OFFSET]' -r
complete -c mprism -n "__fish_mprism_using_subcommand restart" -l color -d 'Colour, which is never part of the meaning [env: NO_COLOR]' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c mprism -n "__fish_mprism_using_subcommand restart" -l lang -d 'Language of the operator\'s screens; documents stay English [env: LC_ALL, LC_MESSAGES, LANG]' -r -f -a "en\t'English'
zh\t'Simplified Chinese'"
complete -c mprism -n "__fish_mprism_using_subcommand restart" -l one-by-one -d 'Only what runs, one after the other, the supervisor first: after this program was replaced'
complete -c mprism -n "__fish_mprism_using_subcommand restart" -l force -d 'End foreign holders of our ports, after showing them'
complete -c mprism -n "__fish_mprism_using_subcommand restart" -l json -d 'Print one JSON document on standard output'
complete -c mprism -n "__fish_mprism_using_subcommand restart" -s q -l quiet -d 'Say less on standard error'
complete -c mprism -n "__fish_mprism_using_subcommand restart" -s v -l verbose -d 'Say more on standard error'
complete -c mprism -n "__fish_mprism_using_subcommand restart" -l yes -d 'Answer every confirmation with yes'
complete -c mprism -n "__fish_mprism_using_subcommand restart" -l dry-run -d 'Print the plan and change nothing'
complete -c mprism -n "__fish_mprism_using_subcommand restart" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mprism -n "__fish_mprism_using_subcommand status" -l home -d 'State folder [env: MPRISM_HOME] [default: $XDG_DATA_HOME/mprism, else ~/.local/share/mprism]' -r -F
complete -c mprism -n "__fish_mprism_using_subcommand status" -l config -d 'YAML file laid over the built-in defaults and <home>/config/*.yaml [env: MPRISM_CONFIG]' -r -F
complete -c mprism -n "__fish_mprism_using_subcommand status" -l port-offset -d 'Moves every port of this home by N, a multiple of 100 [env: MPRISM_PORT_OFFSET]' -r
complete -c mprism -n "__fish_mprism_using_subcommand status" -l color -d 'Colour, which is never part of the meaning [env: NO_COLOR]' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c mprism -n "__fish_mprism_using_subcommand status" -l lang -d 'Language of the operator\'s screens; documents stay English [env: LC_ALL, LC_MESSAGES, LANG]' -r -f -a "en\t'English'
zh\t'Simplified Chinese'"
complete -c mprism -n "__fish_mprism_using_subcommand status" -l json -d 'Print one JSON document on standard output'
complete -c mprism -n "__fish_mprism_using_subcommand status" -s q -l quiet -d 'Say less on standard error'
complete -c mprism -n "__fish_mprism_using_subcommand status" -s v -l verbose -d 'Say more on standard error'
complete -c mprism -n "__fish_mprism_using_subcommand status" -l yes -d 'Answer every confirmation with yes'
complete -c mprism -n "__fish_mprism_using_subcommand status" -l dry-run -d 'Print the plan and change nothing'
complete -c mprism -n "__fish_mprism_using_subcommand status" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mprism -n "__fish_mprism_using_subcommand health" -l home -d 'State folder [env: MPRISM_HOME] [default: $XDG_DATA_HOME/mprism, else ~/.local/share/mprism]' -r -F
complete -c mprism -n "__fish_mprism_using_subcommand health" -l config -d 'YAML file laid over the built-in defaults and <home>/config/*.yaml [env: MPRISM_CONFIG]' -r -F
complete -c mprism -n "__fish_mprism_using_subcommand health" -l port-offset -d 'Moves every port of this home by N, a multiple of 100 [env: MPRISM_PORT_OFFSET]' -r
complete -c mprism -n "__fish_mprism_using_subcommand health" -l color -d 'Colour, which is never part of the meaning [env: NO_COLOR]' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c mprism -n "__fish_mprism_using_subcommand health" -l lang -d 'Language of the operator\'s screens; documents stay English [env: LC_ALL, LC_MESSAGES, LANG]' -r -f -a "en\t'English'
zh\t'Simplified Chinese'"
complete -c mprism -n "__fish_mprism_using_subcommand health" -l json -d 'Print one JSON document on standard output'
complete -c mprism -n "__fish_mprism_using_subcommand health" -s q -l quiet -d 'Say less on standard error'
complete -c mprism -n "__fish_mprism_using_subcommand health" -s v -l verbose -d 'Say more on standard error'
complete -c mprism -n "__fish_mprism_using_subcommand health" -l yes -d 'Answer every confirmation with yes'
complete -c mprism -n "__fish_mprism_using_subcommand health" -l dry-run -d 'Print the plan and change nothing'
complete -c mprism -n "__fish_mprism_using_subcommand health" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mprism -n "__fish_mprism_using_subcommand top" -l interval -d 'Look again after this time, at least 200ms' -r
complete -c mprism -n "__fish_mprism_using_subcommand top" -l count -d 'End after N looks' -r
complete -c mprism -n "__fish_mprism_using_subcommand top" -l home -d 'State folder [env: MPRISM_HOME] [default: $XDG_DATA_HOME/mprism, else ~/.local/share/mprism]' -r -F
complete -c mprism -n "__fish_mprism_using_subcommand top" -l config -d 'YAML file laid over the built-in defaults and <home>/config/*.yaml [env: MPRISM_CONFIG]' -r -F
complete -c mprism -n "__fish_mprism_using_subcommand top" -l port-offset -d 'Moves every port of this home by N, a multiple of 100 [env: MPRISM_PORT_OFFSET]' -r
complete -c mprism -n "__fish_mprism_using_subcommand top" -l color -d 'Colour, which is never part of the meaning [env: NO_COLOR]' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c mprism -n "__fish_mprism_using_subcommand top" -l lang -d 'Language of the operator\'s screens; documents stay English [env: LC_ALL, LC_MESSAGES, LANG]' -r -f -a "en\t'English'
zh\t'Simplified Chinese'"
complete -c mprism -n "__fish_mprism_using_subcommand top" -l json -d 'Print one JSON document on standard output'
complete -c mprism -n "__fish_mprism_using_subcommand top" -s q -l quiet -d 'Say less on standard error'
complete -c mprism -n "__fish_mprism_using_subcommand top" -s v -l verbose -d 'Say more on standard error'
complete -c mprism -n "__fish_mprism_using_subcommand top" -l yes -d 'Answer every confirmation with yes'
complete -c mprism -n "__fish_mprism_using_subcommand top" -l dry-run -d 'Print the plan and change nothing'
complete -c mprism -n "__fish_mprism_using_subcommand top" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mprism -n "__fish_mprism_using_subcommand integrity" -l since -d 'Only the last so much time' -r
complete -c mprism -n "__fish_mprism_using_subcommand integrity" -l from -d 'From this RFC 3339 time' -r
complete -c mprism -n "__fish_mprism_using_subcommand integrity" -l to -d 'To this RFC 3339 time' -r
complete -c mprism -n "__fish_mprism_using_subcommand integrity" -l report -d 'Write a report to this file too: JSON if it ends with .json, Markdown if with .md' -r -F
complete -c mprism -n "__fish_mprism_using_subcommand integrity" -l home -d 'State folder [env: MPRISM_HOME] [default: $XDG_DATA_HOME/mprism, else ~/.local/share/mprism]' -r -F
complete -c mprism -n "__fish_mprism_using_subcommand integrity" -l config -d 'YAML file laid over the built-in defaults and <home>/config/*.yaml [env: MPRISM_CONFIG]' -r -F
complete -c mprism -n "__fish_mprism_using_subcommand integrity" -l port-offset -d 'Moves every port of this home by N, a multiple of 100 [env: MPRISM_PORT_OFFSET]' -r
complete -c mprism -n "__fish_mprism_using_subcommand integrity" -l color -d 'Colour, which is never part of the meaning [env: NO_COLOR]' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c mprism -n "__fish_mprism_using_subcommand integrity" -l lang -d 'Language of the operator\'s screens; documents stay English [env: LC_ALL, LC_MESSAGES, LANG]' -r -f -a "en\t'English'
zh\t'Simplified Chinese'"
complete -c mprism -n "__fish_mprism_using_subcommand integrity" -l strict -d 'Warnings end with exit code 3'
complete -c mprism -n "__fish_mprism_using_subcommand integrity" -l json -d 'Print one JSON document on standard output'
complete -c mprism -n "__fish_mprism_using_subcommand integrity" -s q -l quiet -d 'Say less on standard error'
complete -c mprism -n "__fish_mprism_using_subcommand integrity" -s v -l verbose -d 'Say more on standard error'
complete -c mprism -n "__fish_mprism_using_subcommand integrity" -l yes -d 'Answer every confirmation with yes'
complete -c mprism -n "__fish_mprism_using_subcommand integrity" -l dry-run -d 'Print the plan and change nothing'
complete -c mprism -n "__fish_mprism_using_subcommand integrity" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mprism -n "__fish_mprism_using_subcommand repair" -l from -d 'Only what is from this RFC 3339 time on' -r
complete -c mprism -n "__fish_mprism_using_subcommand repair" -l to -d 'Only what is before this RFC 3339 time' -r
complete -c mprism -n "__fish_mprism_using_subcommand repair" -l type -d 'Only this type of data; may be given again' -r -f -a "orderbook\t''
trade\t''
funding_rate\t''
open_interest\t''
liquidation\t''
lsr_top_position\t''
lsr_all_account\t''
volatility_index\t''"
complete -c mprism -n "__fish_mprism_using_subcommand repair" -l home -d 'State folder [env: MPRISM_HOME] [default: $XDG_DATA_HOME/mprism, else ~/.local/share/mprism]' -r -F
complete -c mprism -n "__fish_mprism_using_subcommand repair" -l config -d 'YAML file laid over the built-in defaults and <home>/config/*.yaml [env: MPRISM_CONFIG]' -r -F
complete -c mprism -n "__fish_mprism_using_subcommand repair" -l port-offset -d 'Moves every port of this home by N, a multiple of 100 [env: MPRISM_PORT_OFFSET]' -r
complete -c mprism -n "__fish_mprism_using_subcommand repair" -l color -d 'Colour, which is never part of the meaning [env: NO_COLOR]' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c mprism -n "__fish_mprism_using_subcommand repair" -l lang -d 'Language of the operator\'s screens; documents stay English [env: LC_ALL, LC_MESSAGES, LANG]' -r -f -a "en\t'English'
zh\t'Simplified Chinese'"
complete -c mprism -n "__fish_mprism_using_subcommand repair" -l schema -d 'Rebuild tables that are not as this version makes them, MarketPrism\'s own among them; the old ones are kept'
complete -c mprism -n "__fish_mprism_using_subcommand repair" -l dead-letters -d 'Read dead letters again, and store those that are understood now'
complete -c mprism -n "__fish_mprism_using_subcommand repair" -l accept-broken-parts -d 'Drop parts that the engine could not read, and ask for their rows again'
complete -c mprism -n "__fish_mprism_using_subcommand repair" -l json -d 'Print one JSON document on standard output'
complete -c mprism -n "__fish_mprism_using_subcommand repair" -s q -l quiet -d 'Say less on standard error'
complete -c mprism -n "__fish_mprism_using_subcommand repair" -s v -l verbose -d 'Say more on standard error'
complete -c mprism -n "__fish_mprism_using_subcommand repair" -l yes -d 'Answer every confirmation with yes'
complete -c mprism -n "__fish_mprism_using_subcommand repair" -l dry-run -d 'Print the plan and change nothing'
complete -c mprism -n "__fish_mprism_using_subcommand repair" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mprism -n "__fish_mprism_using_subcommand cold; and not __fish_seen_subcommand_from backfill" -l home -d 'State folder [env: MPRISM_HOME] [default: $XDG_DATA_HOME/mprism, else ~/.local/share/mprism]' -r -F
complete -c mprism -n "__fish_mprism_using_subcommand cold; and not __fish_seen_subcommand_from backfill" -l config -d 'YAML file laid over the built-in defaults and <home>/config/*.yaml [env: MPRISM_CONFIG]' -r -F
complete -c mprism -n "__fish_mprism_using_subcommand cold; and not __fish_seen_subcommand_from backfill" -l port-offset -d 'Moves every port of this home by N, a multiple of 100 [env: MPRISM_PORT_OFFSET]' -r
complete -c mprism -n "__fish_mprism_using_subcommand cold; and not __fish_seen_subcommand_from backfill" -l color -d 'Colour, which is never part of the meaning [env: NO_COLOR]' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c mprism -n "__fish_mprism_using_subcommand cold; and not __fish_seen_subcommand_from backfill" -l lang -d 'Language of the operator\'s screens; documents stay English [env: LC_ALL, LC_MESSAGES, LANG]' -r -f -a "en\t'English'
zh\t'Simplified Chinese'"
complete -c mprism -n "__fish_mprism_using_subcommand cold; and not __fish_seen_subcommand_from backfill" -l json -d 'Print one JSON document on standard output'
complete -c mprism -n "__fish_mprism_using_subcommand cold; and not __fish_seen_subcommand_from backfill" -s q -l quiet -d 'Say less on standard error'
complete -c mprism -n "__fish_mprism_using_subcommand cold; and not __fish_seen_subcommand_from backfill" -s v -l verbose -d 'Say more on standard error'
complete -c mprism -n "__fish_mprism_using_subcommand cold; and not __fish_seen_subcommand_from backfill" -l yes -d 'Answer every confirmation with yes'
complete -c mprism -n "__fish_mprism_using_subcommand cold; and not __fish_seen_subcommand_from backfill" -l dry-run -d 'Print the plan and change nothing'
complete -c mprism -n "__fish_mprism_using_subcommand cold; and not __fish_seen_subcommand_from backfill" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mprism -n "__fish_mprism_using_subcommand cold; and not __fish_seen_subcommand_from backfill" -f -a "backfill" -d 'Copy all that the hot store has to the cold one and prove it, now'
complete -c mprism -n "__fish_mprism_using_subcommand cold; and __fish_seen_subcommand_from backfill" -l from -d 'Only what is from this RFC 3339 time on' -r
complete -c mprism -n "__fish_mprism_using_subcommand cold; and __fish_seen_subcommand_from backfill" -l to -d 'Only what is before this RFC 3339 time' -r
complete -c mprism -n "__fish_mprism_using_subcommand cold; and __fish_seen_subcommand_from backfill" -l home -d 'State folder [env: MPRISM_HOME] [default: $XDG_DATA_HOME/mprism, else ~/.local/share/mprism]' -r -F
complete -c mprism -n "__fish_mprism_using_subcommand cold; and __fish_seen_subcommand_from backfill" -l config -d 'YAML file laid over the built-in defaults and <home>/config/*.yaml [env: MPRISM_CONFIG]' -r -F
complete -c mprism -n "__fish_mprism_using_subcommand cold; and __fish_seen_subcommand_from backfill" -l port-offset -d 'Moves every port of this home by N, a multiple of 100 [env: MPRISM_PORT_OFFSET]' -r
complete -c mprism -n "__fish_mprism_using_subcommand cold; and __fish_seen_subcommand_from backfill" -l color -d 'Colour, which is never part of the meaning [env: NO_COLOR]' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c mprism -n "__fish_mprism_using_subcommand cold; and __fish_seen_subcommand_from backfill" -l lang -d 'Language of the operator\'s screens; documents stay English [env: LC_ALL, LC_MESSAGES, LANG]' -r -f -a "en\t'English'
zh\t'Simplified Chinese'"
complete -c mprism -n "__fish_mprism_using_subcommand cold; and __fish_seen_subcommand_from backfill" -l json -d 'Print one JSON document on standard output'
complete -c mprism -n "__fish_mprism_using_subcommand cold; and __fish_seen_subcommand_from backfill" -s q -l quiet -d 'Say less on standard error'
complete -c mprism -n "__fish_mprism_using_subcommand cold; and __fish_seen_subcommand_from backfill" -s v -l verbose -d 'Say more on standard error'
complete -c mprism -n "__fish_mprism_using_subcommand cold; and __fish_seen_subcommand_from backfill" -l yes -d 'Answer every confirmation with yes'
complete -c mprism -n "__fish_mprism_using_subcommand cold; and __fish_seen_subcommand_from backfill" -l dry-run -d 'Print the plan and change nothing'
complete -c mprism -n "__fish_mprism_using_subcommand cold; and __fish_seen_subcommand_from backfill" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mprism -n "__fish_mprism_using_subcommand verify" -l from -d 'From this RFC 3339 time' -r
complete -c mprism -n "__fish_mprism_using_subcommand verify" -l to -d 'To this RFC 3339 time' -r
complete -c mprism -n "__fish_mprism_using_subcommand verify" -l home -d 'State folder [env: MPRISM_HOME] [default: $XDG_DATA_HOME/mprism, else ~/.local/share/mprism]' -r -F
complete -c mprism -n "__fish_mprism_using_subcommand verify" -l config -d 'YAML file laid over the built-in defaults and <home>/config/*.yaml [env: MPRISM_CONFIG]' -r -F
complete -c mprism -n "__fish_mprism_using_subcommand verify" -l port-offset -d 'Moves every port of this home by N, a multiple of 100 [env: MPRISM_PORT_OFFSET]' -r
complete -c mprism -n "__fish_mprism_using_subcommand verify" -l color -d 'Colour, which is never part of the meaning [env: NO_COLOR]' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c mprism -n "__fish_mprism_using_subcommand verify" -l lang -d 'Language of the operator\'s screens; documents stay English [env: LC_ALL, LC_MESSAGES, LANG]' -r -f -a "en\t'English'
zh\t'Simplified Chinese'"
complete -c mprism -n "__fish_mprism_using_subcommand verify" -l json -d 'Print one JSON document on standard output'
complete -c mprism -n "__fish_mprism_using_subcommand verify" -s q -l quiet -d 'Say less on standard error'
complete -c mprism -n "__fish_mprism_using_subcommand verify" -s v -l verbose -d 'Say more on standard error'
complete -c mprism -n "__fish_mprism_using_subcommand verify" -l yes -d 'Answer every confirmation with yes'
complete -c mprism -n "__fish_mprism_using_subcommand verify" -l dry-run -d 'Print the plan and change nothing'
complete -c mprism -n "__fish_mprism_using_subcommand verify" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mprism -n "__fish_mprism_using_subcommand deps; and not __fish_seen_subcommand_from list install verify" -l home -d 'State folder [env: MPRISM_HOME] [default: $XDG_DATA_HOME/mprism, else ~/.local/share/mprism]' -r -F
complete -c mprism -n "__fish_mprism_using_subcommand deps; and not __fish_seen_subcommand_from list install verify" -l config -d 'YAML file laid over the built-in defaults and <home>/config/*.yaml [env: MPRISM_CONFIG]' -r -F
complete -c mprism -n "__fish_mprism_using_subcommand deps; and not __fish_seen_subcommand_from list install verify" -l port-offset -d 'Moves every port of this home by N, a multiple of 100 [env: MPRISM_PORT_OFFSET]' -r
complete -c mprism -n "__fish_mprism_using_subcommand deps; and not __fish_seen_subcommand_from list install verify" -l color -d 'Colour, which is never part of the meaning [env: NO_COLOR]' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c mprism -n "__fish_mprism_using_subcommand deps; and not __fish_seen_subcommand_from list install verify" -l lang -d 'Language of the operator\'s screens; documents stay English [env: LC_ALL, LC_MESSAGES, LANG]' -r -f -a "en\t'English'
zh\t'Simplified Chinese'"
complete -c mprism -n "__fish_mprism_using_subcommand deps; and not __fish_seen_subcommand_from list install verify" -l json -d 'Print one JSON document on standard output'
complete -c mprism -n "__fish_mprism_using_subcommand deps; and not __fish_seen_subcommand_from list install verify" -s q -l quiet -d 'Say less on standard error'
complete -c mprism -n "__fish_mprism_using_subcommand deps; and not __fish_seen_subcommand_from list install verify" -s v -l verbose -d 'Say more on standard error'
complete -c mprism -n "__fish_mprism_using_subcommand deps; and not __fish_seen_subcommand_from list install verify" -l yes -d 'Answer every confirmation with yes'
complete -c mprism -n "__fish_mprism_using_subcommand deps; and not __fish_seen_subcommand_from list install verify" -l dry-run -d 'Print the plan and change nothing'
complete -c mprism -n "__fish_mprism_using_subcommand deps; and not __fish_seen_subcommand_from list install verify" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mprism -n "__fish_mprism_using_subcommand deps; and not __fish_seen_subcommand_from list install verify" -f -a "list" -d 'List what is pinned and where it was found'
complete -c mprism -n "__fish_mprism_using_subcommand deps; and not __fish_seen_subcommand_from list install verify" -f -a "install" -d 'Fetch what is missing or damaged and link it into the home'
complete -c mprism -n "__fish_mprism_using_subcommand deps; and not __fish_seen_subcommand_from list install verify" -f -a "verify" -d 'Compare every byte with the pinned checksums'
complete -c mprism -n "__fish_mprism_using_subcommand deps; and __fish_seen_subcommand_from list" -l home -d 'State folder [env: MPRISM_HOME] [default: $XDG_DATA_HOME/mprism, else ~/.local/share/mprism]' -r -F
complete -c mprism -n "__fish_mprism_using_subcommand deps; and __fish_seen_subcommand_from list" -l config -d 'YAML file laid over the built-in defaults and <home>/config/*.yaml [env: MPRISM_CONFIG]' -r -F
complete -c mprism -n "__fish_mprism_using_subcommand deps; and __fish_seen_subcommand_from list" -l port-offset -d 'Moves every port of this home by N, a multiple of 100 [env: MPRISM_PORT_OFFSET]' -r
complete -c mprism -n "__fish_mprism_using_subcommand deps; and __fish_seen_subcommand_from list" -l color -d 'Colour, which is never part of the meaning [env: NO_COLOR]' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c mprism -n "__fish_mprism_using_subcommand deps; and __fish_seen_subcommand_from list" -l lang -d 'Language of the operator\'s screens; documents stay English [env: LC_ALL, LC_MESSAGES, LANG]' -r -f -a "en\t'English'
zh\t'Simplified Chinese'"
complete -c mprism -n "__fish_mprism_using_subcommand deps; and __fish_seen_subcommand_from list" -l json -d 'Print one JSON document on standard output'
complete -c mprism -n "__fish_mprism_using_subcommand deps; and __fish_seen_subcommand_from list" -s q -l quiet -d 'Say less on standard error'
complete -c mprism -n "__fish_mprism_using_subcommand deps; and __fish_seen_subcommand_from list" -s v -l verbose -d 'Say more on standard error'
complete -c mprism -n "__fish_mprism_using_subcommand deps; and __fish_seen_subcommand_from list" -l yes -d 'Answer every confirmation with yes'
complete -c mprism -n "__fish_mprism_using_subcommand deps; and __fish_seen_subcommand_from list" -l dry-run -d 'Print the plan and change nothing'
complete -c mprism -n "__fish_mprism_using_subcommand deps; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mprism -n "__fish_mprism_using_subcommand deps; and __fish_seen_subcommand_from install" -l provider -d 'Where to fetch from' -r
complete -c mprism -n "__fish_mprism_using_subcommand deps; and __fish_seen_subcommand_from install" -l home -d 'State folder [env: MPRISM_HOME] [default: $XDG_DATA_HOME/mprism, else ~/.local/share/mprism]' -r -F
complete -c mprism -n "__fish_mprism_using_subcommand deps; and __fish_seen_subcommand_from install" -l config -d 'YAML file laid over the built-in defaults and <home>/config/*.yaml [env: MPRISM_CONFIG]' -r -F
complete -c mprism -n "__fish_mprism_using_subcommand deps; and __fish_seen_subcommand_from install" -l port-offset -d 'Moves every port of this home by N, a multiple of 100 [env: MPRISM_PORT_OFFSET]' -r
complete -c mprism -n "__fish_mprism_using_subcommand deps; and __fish_seen_subcommand_from install" -l color -d 'Colour, which is never part of the meaning [env: NO_COLOR]' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c mprism -n "__fish_mprism_using_subcommand deps; and __fish_seen_subcommand_from install" -l lang -d 'Language of the operator\'s screens; documents stay English [env: LC_ALL, LC_MESSAGES, LANG]' -r -f -a "en\t'English'
zh\t'Simplified Chinese'"
complete -c mprism -n "__fish_mprism_using_subcommand deps; and __fish_seen_subcommand_from install" -l offline -d 'Use only what is already on this machine'
complete -c mprism -n "__fish_mprism_using_subcommand deps; and __fish_seen_subcommand_from install" -l json -d 'Print one JSON document on standard output'
complete -c mprism -n "__fish_mprism_using_subcommand deps; and __fish_seen_subcommand_from install" -s q -l quiet -d 'Say less on standard error'
complete -c mprism -n "__fish_mprism_using_subcommand deps; and __fish_seen_subcommand_from install" -s v -l verbose -d 'Say more on standard error'
complete -c mprism -n "__fish_mprism_using_subcommand deps; and __fish_seen_subcommand_from install" -l yes -d 'Answer every confirmation with yes'
complete -c mprism -n "__fish_mprism_using_subcommand deps; and __fish_seen_subcommand_from install" -l dry-run -d 'Print the plan and change nothing'
complete -c mprism -n "__fish_mprism_using_subcommand deps; and __fish_seen_subcommand_from install" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mprism -n "__fish_mprism_using_subcommand deps; and __fish_seen_subcommand_from verify" -l home -d 'State folder [env: MPRISM_HOME] [default: $XDG_DATA_HOME/mprism, else ~/.local/share/mprism]' -r -F
complete -c mprism -n "__fish_mprism_using_subcommand deps; and __fish_seen_subcommand_from verify" -l config -d 'YAML file laid over the built-in defaults and <home>/config/*.yaml [env: MPRISM_CONFIG]' -r -F
complete -c mprism -n "__fish_mprism_using_subcommand deps; and __fish_seen_subcommand_from verify" -l port-offset -d 'Moves every port of this home by N, a multiple of 100 [env: MPRISM_PORT_OFFSET]' -r
complete -c mprism -n "__fish_mprism_using_subcommand deps; and __fish_seen_subcommand_from verify" -l color -d 'Colour, which is never part of the meaning [env: NO_COLOR]' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c mprism -n "__fish_mprism_using_subcommand deps; and __fish_seen_subcommand_from verify" -l lang -d 'Language of the operator\'s screens; documents stay English [env: LC_ALL, LC_MESSAGES, LANG]' -r -f -a "en\t'English'
zh\t'Simplified Chinese'"
complete -c mprism -n "__fish_mprism_using_subcommand deps; and __fish_seen_subcommand_from verify" -l json -d 'Print one JSON document on standard output'
complete -c mprism -n "__fish_mprism_using_subcommand deps; and __fish_seen_subcommand_from verify" -s q -l quiet -d 'Say less on standard error'
complete -c mprism -n "__fish_mprism_using_subcommand deps; and __fish_seen_subcommand_from verify" -s v -l verbose -d 'Say more on standard error'
complete -c mprism -n "__fish_mprism_using_subcommand deps; and __fish_seen_subcommand_from verify" -l yes -d 'Answer every confirmation with yes'
complete -c mprism -n "__fish_mprism_using_subcommand deps; and __fish_seen_subcommand_from verify" -l dry-run -d 'Print the plan and change nothing'
complete -c mprism -n "__fish_mprism_using_subcommand deps; and __fish_seen_subcommand_from verify" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mprism -n "__fish_mprism_using_subcommand env" -l format -d 'Form of the answer' -r -f -a "dotenv\t'`NAME=value` lines'
json\t'The JSON document'"
complete -c mprism -n "__fish_mprism_using_subcommand env" -l home -d 'State folder [env: MPRISM_HOME] [default: $XDG_DATA_HOME/mprism, else ~/.local/share/mprism]' -r -F
complete -c mprism -n "__fish_mprism_using_subcommand env" -l config -d 'YAML file laid over the built-in defaults and <home>/config/*.yaml [env: MPRISM_CONFIG]' -r -F
complete -c mprism -n "__fish_mprism_using_subcommand env" -l port-offset -d 'Moves every port of this home by N, a multiple of 100 [env: MPRISM_PORT_OFFSET]' -r
complete -c mprism -n "__fish_mprism_using_subcommand env" -l color -d 'Colour, which is never part of the meaning [env: NO_COLOR]' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c mprism -n "__fish_mprism_using_subcommand env" -l lang -d 'Language of the operator\'s screens; documents stay English [env: LC_ALL, LC_MESSAGES, LANG]' -r -f -a "en\t'English'
zh\t'Simplified Chinese'"
complete -c mprism -n "__fish_mprism_using_subcommand env" -l json -d 'Print one JSON document on standard output'
complete -c mprism -n "__fish_mprism_using_subcommand env" -s q -l quiet -d 'Say less on standard error'
complete -c mprism -n "__fish_mprism_using_subcommand env" -s v -l verbose -d 'Say more on standard error'
complete -c mprism -n "__fish_mprism_using_subcommand env" -l yes -d 'Answer every confirmation with yes'
complete -c mprism -n "__fish_mprism_using_subcommand env" -l dry-run -d 'Print the plan and change nothing'
complete -c mprism -n "__fish_mprism_using_subcommand env" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mprism -n "__fish_mprism_using_subcommand diagnose" -l bundle -d 'Write a support archive (.tar.gz) with logs, settings and findings; credentials are removed' -r -F
complete -c mprism -n "__fish_mprism_using_subcommand diagnose" -l home -d 'State folder [env: MPRISM_HOME] [default: $XDG_DATA_HOME/mprism, else ~/.local/share/mprism]' -r -F
complete -c mprism -n "__fish_mprism_using_subcommand diagnose" -l config -d 'YAML file laid over the built-in defaults and <home>/config/*.yaml [env: MPRISM_CONFIG]' -r -F
complete -c mprism -n "__fish_mprism_using_subcommand diagnose" -l port-offset -d 'Moves every port of this home by N, a multiple of 100 [env: MPRISM_PORT_OFFSET]' -r
complete -c mprism -n "__fish_mprism_using_subcommand diagnose" -l color -d 'Colour, which is never part of the meaning [env: NO_COLOR]' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c mprism -n "__fish_mprism_using_subcommand diagnose" -l lang -d 'Language of the operator\'s screens; documents stay English [env: LC_ALL, LC_MESSAGES, LANG]' -r -f -a "en\t'English'
zh\t'Simplified Chinese'"
complete -c mprism -n "__fish_mprism_using_subcommand diagnose" -l json -d 'Print one JSON document on standard output'
complete -c mprism -n "__fish_mprism_using_subcommand diagnose" -s q -l quiet -d 'Say less on standard error'
complete -c mprism -n "__fish_mprism_using_subcommand diagnose" -s v -l verbose -d 'Say more on standard error'
complete -c mprism -n "__fish_mprism_using_subcommand diagnose" -l yes -d 'Answer every confirmation with yes'
complete -c mprism -n "__fish_mprism_using_subcommand diagnose" -l dry-run -d 'Print the plan and change nothing'
complete -c mprism -n "__fish_mprism_using_subcommand diagnose" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mprism -n "__fish_mprism_using_subcommand clean" -l home -d 'State folder [env: MPRISM_HOME] [default: $XDG_DATA_HOME/mprism, else ~/.local/share/mprism]' -r -F
complete -c mprism -n "__fish_mprism_using_subcommand clean" -l config -d 'YAML file laid over the built-in defaults and <home>/config/*.yaml [env: MPRISM_CONFIG]' -r -F
complete -c mprism -n "__fish_mprism_using_subcommand clean" -l port-offset -d 'Moves every port of this home by N, a multiple of 100 [env: MPRISM_PORT_OFFSET]' -r
complete -c mprism -n "__fish_mprism_using_subcommand clean" -l color -d 'Colour, which is never part of the meaning [env: NO_COLOR]' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c mprism -n "__fish_mprism_using_subcommand clean" -l lang -d 'Language of the operator\'s screens; documents stay English [env: LC_ALL, LC_MESSAGES, LANG]' -r -f -a "en\t'English'
zh\t'Simplified Chinese'"
complete -c mprism -n "__fish_mprism_using_subcommand clean" -l ports -d 'Only the ports: end our own leftovers on them, and foreign holders with --force'
complete -c mprism -n "__fish_mprism_using_subcommand clean" -l force -d 'Also stop what runs; with --ports, end foreign holders after showing them'
complete -c mprism -n "__fish_mprism_using_subcommand clean" -l data -d 'Also remove the data of these services, in the home and in volumes of its containers, after asking for the home\'s name'
complete -c mprism -n "__fish_mprism_using_subcommand clean" -l json -d 'Print one JSON document on standard output'
complete -c mprism -n "__fish_mprism_using_subcommand clean" -s q -l quiet -d 'Say less on standard error'
complete -c mprism -n "__fish_mprism_using_subcommand clean" -s v -l verbose -d 'Say more on standard error'
complete -c mprism -n "__fish_mprism_using_subcommand clean" -l yes -d 'Answer every confirmation with yes'
complete -c mprism -n "__fish_mprism_using_subcommand clean" -l dry-run -d 'Print the plan and change nothing'
complete -c mprism -n "__fish_mprism_using_subcommand clean" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mprism -n "__fish_mprism_using_subcommand history" -s n -l lines -d 'Show the last N commands [default: 20]' -r
complete -c mprism -n "__fish_mprism_using_subcommand history" -l home -d 'State folder [env: MPRISM_HOME] [default: $XDG_DATA_HOME/mprism, else ~/.local/share/mprism]' -r -F
complete -c mprism -n "__fish_mprism_using_subcommand history" -l config -d 'YAML file laid over the built-in defaults and <home>/config/*.yaml [env: MPRISM_CONFIG]' -r -F
complete -c mprism -n "__fish_mprism_using_subcommand history" -l port-offset -d 'Moves every port of this home by N, a multiple of 100 [env: MPRISM_PORT_OFFSET]' -r
complete -c mprism -n "__fish_mprism_using_subcommand history" -l color -d 'Colour, which is never part of the meaning [env: NO_COLOR]' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c mprism -n "__fish_mprism_using_subcommand history" -l lang -d 'Language of the operator\'s screens; documents stay English [env: LC_ALL, LC_MESSAGES, LANG]' -r -f -a "en\t'English'
zh\t'Simplified Chinese'"
complete -c mprism -n "__fish_mprism_using_subcommand history" -l json -d 'Print one JSON document on standard output'
complete -c mprism -n "__fish_mprism_using_subcommand history" -s q -l quiet -d 'Say less on standard error'
complete -c mprism -n "__fish_mprism_using_subcommand history" -s v -l verbose -d 'Say more on standard error'
complete -c mprism -n "__fish_mprism_using_subcommand history" -l yes -d 'Answer every confirmation with yes'
complete -c mprism -n "__fish_mprism_using_subcommand history" -l dry-run -d 'Print the plan and change nothing'
complete -c mprism -n "__fish_mprism_using_subcommand history" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mprism -n "__fish_mprism_using_subcommand config; and not __fish_seen_subcommand_from show validate path edit schema" -l home -d 'State folder [env: MPRISM_HOME] [default: $XDG_DATA_HOME/mprism, else ~/.local/share/mprism]' -r -F
complete -c mprism -n "__fish_mprism_using_subcommand config; and not __fish_seen_subcommand_from show validate path edit schema" -l config -d 'YAML file laid over the built-in defaults and <home>/config/*.yaml [env: MPRISM_CONFIG]' -r -F
complete -c mprism -n "__fish_mprism_using_subcommand config; and not __fish_seen_subcommand_from show validate path edit schema" -l port-offset -d 'Moves every port of this home by N, a multiple of 100 [env: MPRISM_PORT_OFFSET]' -r
complete -c mprism -n "__fish_mprism_using_subcommand config; and not __fish_seen_subcommand_from show validate path edit schema" -l color -d 'Colour, which is never part of the meaning [env: NO_COLOR]' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c mprism -n "__fish_mprism_using_subcommand config; and not __fish_seen_subcommand_from show validate path edit schema" -l lang -d 'Language of the operator\'s screens; documents stay English [env: LC_ALL, LC_MESSAGES, LANG]' -r -f -a "en\t'English'
zh\t'Simplified Chinese'"
complete -c mprism -n "__fish_mprism_using_subcommand config; and not __fish_seen_subcommand_from show validate path edit schema" -l json -d 'Print one JSON document on standard output'
complete -c mprism -n "__fish_mprism_using_subcommand config; and not __fish_seen_subcommand_from show validate path edit schema" -s q -l quiet -d 'Say less on standard error'
complete -c mprism -n "__fish_mprism_using_subcommand config; and not __fish_seen_subcommand_from show validate path edit schema" -s v -l verbose -d 'Say more on standard error'
complete -c mprism -n "__fish_mprism_using_subcommand config; and not __fish_seen_subcommand_from show validate path edit schema" -l yes -d 'Answer every confirmation with yes'
complete -c mprism -n "__fish_mprism_using_subcommand config; and not __fish_seen_subcommand_from show validate path edit schema" -l dry-run -d 'Print the plan and change nothing'
complete -c mprism -n "__fish_mprism_using_subcommand config; and not __fish_seen_subcommand_from show validate path edit schema" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mprism -n "__fish_mprism_using_subcommand config; and not __fish_seen_subcommand_from show validate path edit schema" -f -a "show" -d 'Print every value and who said it; credentials are hidden'
complete -c mprism -n "__fish_mprism_using_subcommand config; and not __fish_seen_subcommand_from show validate path edit schema" -f -a "validate" -d 'Tell everything that is wrong at once, with file, line and key'
complete -c mprism -n "__fish_mprism_using_subcommand config; and not __fish_seen_subcommand_from show validate path edit schema" -f -a "path" -d 'Print which files are read, the lowest layer first'
complete -c mprism -n "__fish_mprism_using_subcommand config; and not __fish_seen_subcommand_from show validate path edit schema" -f -a "edit" -d 'Change the home\'s settings file with $VISUAL or $EDITOR; what is not valid replaces nothing'
complete -c mprism -n "__fish_mprism_using_subcommand config; and not __fish_seen_subcommand_from show validate path edit schema" -f -a "schema" -d 'Print a JSON Schema of settings files, for editors'
complete -c mprism -n "__fish_mprism_using_subcommand config; and __fish_seen_subcommand_from show" -l home -d 'State folder [env: MPRISM_HOME] [default: $XDG_DATA_HOME/mprism, else ~/.local/share/mprism]' -r -F
complete -c mprism -n "__fish_mprism_using_subcommand config; and __fish_seen_subcommand_from show" -l config -d 'YAML file laid over the built-in defaults and <home>/config/*.yaml [env: MPRISM_CONFIG]' -r -F
complete -c mprism -n "__fish_mprism_using_subcommand config; and __fish_seen_subcommand_from show" -l port-offset -d 'Moves every port of this home by N, a multiple of 100 [env: MPRISM_PORT_OFFSET]' -r
complete -c mprism -n "__fish_mprism_using_subcommand config; and __fish_seen_subcommand_from show" -l color -d 'Colour, which is never part of the meaning [env: NO_COLOR]' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c mprism -n "__fish_mprism_using_subcommand config; and __fish_seen_subcommand_from show" -l lang -d 'Language of the operator\'s screens; documents stay English [env: LC_ALL, LC_MESSAGES, LANG]' -r -f -a "en\t'English'
zh\t'Simplified Chinese'"
complete -c mprism -n "__fish_mprism_using_subcommand config; and __fish_seen_subcommand_from show" -l json -d 'Print one JSON document on standard output'
complete -c mprism -n "__fish_mprism_using_subcommand config; and __fish_seen_subcommand_from show" -s q -l quiet -d 'Say less on standard error'
complete -c mprism -n "__fish_mprism_using_subcommand config; and __fish_seen_subcommand_from show" -s v -l verbose -d 'Say more on standard error'
complete -c mprism -n "__fish_mprism_using_subcommand config; and __fish_seen_subcommand_from show" -l yes -d 'Answer every confirmation with yes'
complete -c mprism -n "__fish_mprism_using_subcommand config; and __fish_seen_subcommand_from show" -l dry-run -d 'Print the plan and change nothing'
complete -c mprism -n "__fish_mprism_using_subcommand config; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mprism -n "__fish_mprism_using_subcommand config; and __fish_seen_subcommand_from validate" -l home -d 'State folder [env: MPRISM_HOME] [default: $XDG_DATA_HOME/mprism, else ~/.local/share/mprism]' -r -F
complete -c mprism -n "__fish_mprism_using_subcommand config; and __fish_seen_subcommand_from validate" -l config -d 'YAML file laid over the built-in defaults and <home>/config/*.yaml [env: MPRISM_CONFIG]' -r -F
complete -c mprism -n "__fish_mprism_using_subcommand config; and __fish_seen_subcommand_from validate" -l port-offset -d 'Moves every port of this home by N, a multiple of 100 [env: MPRISM_PORT_OFFSET]' -r
complete -c mprism -n "__fish_mprism_using_subcommand config; and __fish_seen_subcommand_from validate" -l color -d 'Colour, which is never part of the meaning [env: NO_COLOR]' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c mprism -n "__fish_mprism_using_subcommand config; and __fish_seen_subcommand_from validate" -l lang -d 'Language of the operator\'s screens; documents stay English [env: LC_ALL, LC_MESSAGES, LANG]' -r -f -a "en\t'English'
zh\t'Simplified Chinese'"
complete -c mprism -n "__fish_mprism_using_subcommand config; and __fish_seen_subcommand_from validate" -l json -d 'Print one JSON document on standard output'
complete -c mprism -n "__fish_mprism_using_subcommand config; and __fish_seen_subcommand_from validate" -s q -l quiet -d 'Say less on standard error'
complete -c mprism -n "__fish_mprism_using_subcommand config; and __fish_seen_subcommand_from validate" -s v -l verbose -d 'Say more on standard error'
complete -c mprism -n "__fish_mprism_using_subcommand config; and __fish_seen_subcommand_from validate" -l yes -d 'Answer every confirmation with yes'
complete -c mprism -n "__fish_mprism_using_subcommand config; and __fish_seen_subcommand_from validate" -l dry-run -d 'Print the plan and change nothing'
complete -c mprism -n "__fish_mprism_using_subcommand config; and __fish_seen_subcommand_from validate" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mprism -n "__fish_mprism_using_subcommand config; and __fish_seen_subcommand_from path" -l home -d 'State folder [env: MPRISM_HOME] [default: $XDG_DATA_HOME/mprism, else ~/.local/share/mprism]' -r -F
complete -c mprism -n "__fish_mprism_using_subcommand config; and __fish_seen_subcommand_from path" -l config -d 'YAML file laid over the built-in defaults and <home>/config/*.yaml [env: MPRISM_CONFIG]' -r -F
complete -c mprism -n "__fish_mprism_using_subcommand config; and __fish_seen_subcommand_from path" -l port-offset -d 'Moves every port of this home by N, a multiple of 100 [env: MPRISM_PORT_OFFSET]' -r
complete -c mprism -n "__fish_mprism_using_subcommand config; and __fish_seen_subcommand_from path" -l color -d 'Colour, which is never part of the meaning [env: NO_COLOR]' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c mprism -n "__fish_mprism_using_subcommand config; and __fish_seen_subcommand_from path" -l lang -d 'Language of the operator\'s screens; documents stay English [env: LC_ALL, LC_MESSAGES, LANG]' -r -f -a "en\t'English'
zh\t'Simplified Chinese'"
complete -c mprism -n "__fish_mprism_using_subcommand config; and __fish_seen_subcommand_from path" -l json -d 'Print one JSON document on standard output'
complete -c mprism -n "__fish_mprism_using_subcommand config; and __fish_seen_subcommand_from path" -s q -l quiet -d 'Say less on standard error'
complete -c mprism -n "__fish_mprism_using_subcommand config; and __fish_seen_subcommand_from path" -s v -l verbose -d 'Say more on standard error'
complete -c mprism -n "__fish_mprism_using_subcommand config; and __fish_seen_subcommand_from path" -l yes -d 'Answer every confirmation with yes'
complete -c mprism -n "__fish_mprism_using_subcommand config; and __fish_seen_subcommand_from path" -l dry-run -d 'Print the plan and change nothing'
complete -c mprism -n "__fish_mprism_using_subcommand config; and __fish_seen_subcommand_from path" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mprism -n "__fish_mprism_using_subcommand config; and __fish_seen_subcommand_from edit" -l home -d 'State folder [env: MPRISM_HOME] [default: $XDG_DATA_HOME/mprism, else ~/.local/share/mprism]' -r -F
complete -c mprism -n "__fish_mprism_using_subcommand config; and __fish_seen_subcommand_from edit" -l config -d 'YAML file laid over the built-in defaults and <home>/config/*.yaml [env: MPRISM_CONFIG]' -r -F
complete -c mprism -n "__fish_mprism_using_subcommand config; and __fish_seen_subcommand_from edit" -l port-offset -d 'Moves every port of this home by N, a multiple of 100 [env: MPRISM_PORT_OFFSET]' -r
complete -c mprism -n "__fish_mprism_using_subcommand config; and __fish_seen_subcommand_from edit" -l color -d 'Colour, which is never part of the meaning [env: NO_COLOR]' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c mprism -n "__fish_mprism_using_subcommand config; and __fish_seen_subcommand_from edit" -l lang -d 'Language of the operator\'s screens; documents stay English [env: LC_ALL, LC_MESSAGES, LANG]' -r -f -a "en\t'English'
zh\t'Simplified Chinese'"
complete -c mprism -n "__fish_mprism_using_subcommand config; and __fish_seen_subcommand_from edit" -l json -d 'Print one JSON document on standard output'
complete -c mprism -n "__fish_mprism_using_subcommand config; and __fish_seen_subcommand_from edit" -s q -l quiet -d 'Say less on standard error'
complete -c mprism -n "__fish_mprism_using_subcommand config; and __fish_seen_subcommand_from edit" -s v -l verbose -d 'Say more on standard error'
complete -c mprism -n "__fish_mprism_using_subcommand config; and __fish_seen_subcommand_from edit" -l yes -d 'Answer every confirmation with yes'
complete -c mprism -n "__fish_mprism_using_subcommand config; and __fish_seen_subcommand_from edit" -l dry-run -d 'Print the plan and change nothing'
complete -c mprism -n "__fish_mprism_using_subcommand config; and __fish_seen_subcommand_from edit" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mprism -n "__fish_mprism_using_subcommand config; and __fish_seen_subcommand_from schema" -l home -d 'State folder [env: MPRISM_HOME] [default: $XDG_DATA_HOME/mprism, else ~/.local/share/mprism]' -r -F
complete -c mprism -n "__fish_mprism_using_subcommand config; and __fish_seen_subcommand_from schema" -l config -d 'YAML file laid over the built-in defaults and <home>/config/*.yaml [env: MPRISM_CONFIG]' -r -F
complete -c mprism -n "__fish_mprism_using_subcommand config; and __fish_seen_subcommand_from schema" -l port-offset -d 'Moves every port of this home by N, a multiple of 100 [env: MPRISM_PORT_OFFSET]' -r
complete -c mprism -n "__fish_mprism_using_subcommand config; and __fish_seen_subcommand_from schema" -l color -d 'Colour, which is never part of the meaning [env: NO_COLOR]' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c mprism -n "__fish_mprism_using_subcommand config; and __fish_seen_subcommand_from schema" -l lang -d 'Language of the operator\'s screens; documents stay English [env: LC_ALL, LC_MESSAGES, LANG]' -r -f -a "en\t'English'
zh\t'Simplified Chinese'"
complete -c mprism -n "__fish_mprism_using_subcommand config; and __fish_seen_subcommand_from schema" -l json -d 'Print one JSON document on standard output'
complete -c mprism -n "__fish_mprism_using_subcommand config; and __fish_seen_subcommand_from schema" -s q -l quiet -d 'Say less on standard error'
complete -c mprism -n "__fish_mprism_using_subcommand config; and __fish_seen_subcommand_from schema" -s v -l verbose -d 'Say more on standard error'
complete -c mprism -n "__fish_mprism_using_subcommand config; and __fish_seen_subcommand_from schema" -l yes -d 'Answer every confirmation with yes'
complete -c mprism -n "__fish_mprism_using_subcommand config; and __fish_seen_subcommand_from schema" -l dry-run -d 'Print the plan and change nothing'
complete -c mprism -n "__fish_mprism_using_subcommand config; and __fish_seen_subcommand_from schema" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mprism -n "__fish_mprism_using_subcommand query" -l format -d 'Form of the answer: table, csv, tsv, json, jsonl, parquet, or ClickHouse\'s name of any [default: table on a terminal, else tsv]' -r
complete -c mprism -n "__fish_mprism_using_subcommand query" -l home -d 'State folder [env: MPRISM_HOME] [default: $XDG_DATA_HOME/mprism, else ~/.local/share/mprism]' -r -F
complete -c mprism -n "__fish_mprism_using_subcommand query" -l config -d 'YAML file laid over the built-in defaults and <home>/config/*.yaml [env: MPRISM_CONFIG]' -r -F
complete -c mprism -n "__fish_mprism_using_subcommand query" -l port-offset -d 'Moves every port of this home by N, a multiple of 100 [env: MPRISM_PORT_OFFSET]' -r
complete -c mprism -n "__fish_mprism_using_subcommand query" -l color -d 'Colour, which is never part of the meaning [env: NO_COLOR]' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c mprism -n "__fish_mprism_using_subcommand query" -l lang -d 'Language of the operator\'s screens; documents stay English [env: LC_ALL, LC_MESSAGES, LANG]' -r -f -a "en\t'English'
zh\t'Simplified Chinese'"
complete -c mprism -n "__fish_mprism_using_subcommand query" -l write -d 'Allow the statement to write, with the home\'s credential'
complete -c mprism -n "__fish_mprism_using_subcommand query" -l json -d 'Print one JSON document on standard output'
complete -c mprism -n "__fish_mprism_using_subcommand query" -s q -l quiet -d 'Say less on standard error'
complete -c mprism -n "__fish_mprism_using_subcommand query" -s v -l verbose -d 'Say more on standard error'
complete -c mprism -n "__fish_mprism_using_subcommand query" -l yes -d 'Answer every confirmation with yes'
complete -c mprism -n "__fish_mprism_using_subcommand query" -l dry-run -d 'Print the plan and change nothing'
complete -c mprism -n "__fish_mprism_using_subcommand query" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mprism -n "__fish_mprism_using_subcommand export" -l from -d 'From this RFC 3339 time' -r
complete -c mprism -n "__fish_mprism_using_subcommand export" -l to -d 'Up to this RFC 3339 time, which is not in it' -r
complete -c mprism -n "__fish_mprism_using_subcommand export" -s o -l output -d 'The file to write; `-` is standard output' -r -F
complete -c mprism -n "__fish_mprism_using_subcommand export" -l format -d 'Form of the file [default: by the file\'s name]' -r -f -a "parquet\t'Apache Parquet, compressed with zstd'
csv\t'Comma-separated values with a head; `.gz` and `.zst` compress'
jsonl\t'One JSON object a line; `.gz` and `.zst` compress'"
complete -c mprism -n "__fish_mprism_using_subcommand export" -l exchange -d 'Only this exchange; may be given again' -r -f -a "binance_spot\t''
binance_derivatives\t''
okx_spot\t''
okx_derivatives\t''
deribit_derivatives\t''"
complete -c mprism -n "__fish_mprism_using_subcommand export" -l symbol -d 'Only this symbol; may be given again' -r
complete -c mprism -n "__fish_mprism_using_subcommand export" -l home -d 'State folder [env: MPRISM_HOME] [default: $XDG_DATA_HOME/mprism, else ~/.local/share/mprism]' -r -F
complete -c mprism -n "__fish_mprism_using_subcommand export" -l config -d 'YAML file laid over the built-in defaults and <home>/config/*.yaml [env: MPRISM_CONFIG]' -r -F
complete -c mprism -n "__fish_mprism_using_subcommand export" -l port-offset -d 'Moves every port of this home by N, a multiple of 100 [env: MPRISM_PORT_OFFSET]' -r
complete -c mprism -n "__fish_mprism_using_subcommand export" -l color -d 'Colour, which is never part of the meaning [env: NO_COLOR]' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c mprism -n "__fish_mprism_using_subcommand export" -l lang -d 'Language of the operator\'s screens; documents stay English [env: LC_ALL, LC_MESSAGES, LANG]' -r -f -a "en\t'English'
zh\t'Simplified Chinese'"
complete -c mprism -n "__fish_mprism_using_subcommand export" -l force -d 'Replace a file that is there'
complete -c mprism -n "__fish_mprism_using_subcommand export" -l json -d 'Print one JSON document on standard output'
complete -c mprism -n "__fish_mprism_using_subcommand export" -s q -l quiet -d 'Say less on standard error'
complete -c mprism -n "__fish_mprism_using_subcommand export" -s v -l verbose -d 'Say more on standard error'
complete -c mprism -n "__fish_mprism_using_subcommand export" -l yes -d 'Answer every confirmation with yes'
complete -c mprism -n "__fish_mprism_using_subcommand export" -l dry-run -d 'Print the plan and change nothing'
complete -c mprism -n "__fish_mprism_using_subcommand export" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mprism -n "__fish_mprism_using_subcommand infra; and not __fish_seen_subcommand_from up down status logs compose" -l home -d 'State folder [env: MPRISM_HOME] [default: $XDG_DATA_HOME/mprism, else ~/.local/share/mprism]' -r -F
complete -c mprism -n "__fish_mprism_using_subcommand infra; and not __fish_seen_subcommand_from up down status logs compose" -l config -d 'YAML file laid over the built-in defaults and <home>/config/*.yaml [env: MPRISM_CONFIG]' -r -F
complete -c mprism -n "__fish_mprism_using_subcommand infra; and not __fish_seen_subcommand_from up down status logs compose" -l port-offset -d 'Moves every port of this home by N, a multiple of 100 [env: MPRISM_PORT_OFFSET]' -r
complete -c mprism -n "__fish_mprism_using_subcommand infra; and not __fish_seen_subcommand_from up down status logs compose" -l color -d 'Colour, which is never part of the meaning [env: NO_COLOR]' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c mprism -n "__fish_mprism_using_subcommand infra; and not __fish_seen_subcommand_from up down status logs compose" -l lang -d 'Language of the operator\'s screens; documents stay English [env: LC_ALL, LC_MESSAGES, LANG]' -r -f -a "en\t'English'
zh\t'Simplified Chinese'"
complete -c mprism -n "__fish_mprism_using_subcommand infra; and not __fish_seen_subcommand_from up down status logs compose" -l json -d 'Print one JSON document on standard output'
complete -c mprism -n "__fish_mprism_using_subcommand infra; and not __fish_seen_subcommand_from up down status logs compose" -s q -l quiet -d 'Say less on standard error'
complete -c mprism -n "__fish_mprism_using_subcommand infra; and not __fish_seen_subcommand_from up down status logs compose" -s v -l verbose -d 'Say more on standard error'
complete -c mprism -n "__fish_mprism_using_subcommand infra; and not __fish_seen_subcommand_from up down status logs compose" -l yes -d 'Answer every confirmation with yes'
complete -c mprism -n "__fish_mprism_using_subcommand infra; and not __fish_seen_subcommand_from up down status logs compose" -l dry-run -d 'Print the plan and change nothing'
complete -c mprism -n "__fish_mprism_using_subcommand infra; and not __fish_seen_subcommand_from up down status logs compose" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mprism -n "__fish_mprism_using_subcommand infra; and not __fish_seen_subcommand_from up down status logs compose" -f -a "up" -d 'Make and start what is missing; what has changed is made anew, with its data'
complete -c mprism -n "__fish_mprism_using_subcommand infra; and not __fish_seen_subcommand_from up down status logs compose" -f -a "down" -d 'Stop and remove the containers; data stays unless --volumes asks for it'
complete -c mprism -n "__fish_mprism_using_subcommand infra; and not __fish_seen_subcommand_from up down status logs compose" -f -a "status" -d 'How the containers are'
complete -c mprism -n "__fish_mprism_using_subcommand infra; and not __fish_seen_subcommand_from up down status logs compose" -f -a "logs" -d 'What the containers write'
complete -c mprism -n "__fish_mprism_using_subcommand infra; and not __fish_seen_subcommand_from up down status logs compose" -f -a "compose" -d 'Print a compose.yaml that makes the same containers'
complete -c mprism -n "__fish_mprism_using_subcommand infra; and __fish_seen_subcommand_from up" -l wait -d 'Wait at most so many seconds for each to be healthy [default: 120]' -r
complete -c mprism -n "__fish_mprism_using_subcommand infra; and __fish_seen_subcommand_from up" -l home -d 'State folder [env: MPRISM_HOME] [default: $XDG_DATA_HOME/mprism, else ~/.local/share/mprism]' -r -F
complete -c mprism -n "__fish_mprism_using_subcommand infra; and __fish_seen_subcommand_from up" -l config -d 'YAML file laid over the built-in defaults and <home>/config/*.yaml [env: MPRISM_CONFIG]' -r -F
complete -c mprism -n "__fish_mprism_using_subcommand infra; and __fish_seen_subcommand_from up" -l port-offset -d 'Moves every port of this home by N, a multiple of 100 [env: MPRISM_PORT_OFFSET]' -r
complete -c mprism -n "__fish_mprism_using_subcommand infra; and __fish_seen_subcommand_from up" -l color -d 'Colour, which is never part of the meaning [env: NO_COLOR]' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c mprism -n "__fish_mprism_using_subcommand infra; and __fish_seen_subcommand_from up" -l lang -d 'Language of the operator\'s screens; documents stay English [env: LC_ALL, LC_MESSAGES, LANG]' -r -f -a "en\t'English'
zh\t'Simplified Chinese'"
complete -c mprism -n "__fish_mprism_using_subcommand infra; and __fish_seen_subcommand_from up" -l force -d 'Remove foreign containers that have our names, and use foreign volumes'
complete -c mprism -n "__fish_mprism_using_subcommand infra; and __fish_seen_subcommand_from up" -l json -d 'Print one JSON document on standard output'
complete -c mprism -n "__fish_mprism_using_subcommand infra; and __fish_seen_subcommand_from up" -s q -l quiet -d 'Say less on standard error'
complete -c mprism -n "__fish_mprism_using_subcommand infra; and __fish_seen_subcommand_from up" -s v -l verbose -d 'Say more on standard error'
complete -c mprism -n "__fish_mprism_using_subcommand infra; and __fish_seen_subcommand_from up" -l yes -d 'Answer every confirmation with yes'
complete -c mprism -n "__fish_mprism_using_subcommand infra; and __fish_seen_subcommand_from up" -l dry-run -d 'Print the plan and change nothing'
complete -c mprism -n "__fish_mprism_using_subcommand infra; and __fish_seen_subcommand_from up" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mprism -n "__fish_mprism_using_subcommand infra; and __fish_seen_subcommand_from down" -l home -d 'State folder [env: MPRISM_HOME] [default: $XDG_DATA_HOME/mprism, else ~/.local/share/mprism]' -r -F
complete -c mprism -n "__fish_mprism_using_subcommand infra; and __fish_seen_subcommand_from down" -l config -d 'YAML file laid over the built-in defaults and <home>/config/*.yaml [env: MPRISM_CONFIG]' -r -F
complete -c mprism -n "__fish_mprism_using_subcommand infra; and __fish_seen_subcommand_from down" -l port-offset -d 'Moves every port of this home by N, a multiple of 100 [env: MPRISM_PORT_OFFSET]' -r
complete -c mprism -n "__fish_mprism_using_subcommand infra; and __fish_seen_subcommand_from down" -l color -d 'Colour, which is never part of the meaning [env: NO_COLOR]' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c mprism -n "__fish_mprism_using_subcommand infra; and __fish_seen_subcommand_from down" -l lang -d 'Language of the operator\'s screens; documents stay English [env: LC_ALL, LC_MESSAGES, LANG]' -r -f -a "en\t'English'
zh\t'Simplified Chinese'"
complete -c mprism -n "__fish_mprism_using_subcommand infra; and __fish_seen_subcommand_from down" -l volumes -d 'Also remove the data, after asking for the home\'s name'
complete -c mprism -n "__fish_mprism_using_subcommand infra; and __fish_seen_subcommand_from down" -l json -d 'Print one JSON document on standard output'
complete -c mprism -n "__fish_mprism_using_subcommand infra; and __fish_seen_subcommand_from down" -s q -l quiet -d 'Say less on standard error'
complete -c mprism -n "__fish_mprism_using_subcommand infra; and __fish_seen_subcommand_from down" -s v -l verbose -d 'Say more on standard error'
complete -c mprism -n "__fish_mprism_using_subcommand infra; and __fish_seen_subcommand_from down" -l yes -d 'Answer every confirmation with yes'
complete -c mprism -n "__fish_mprism_using_subcommand infra; and __fish_seen_subcommand_from down" -l dry-run -d 'Print the plan and change nothing'
complete -c mprism -n "__fish_mprism_using_subcommand infra; and __fish_seen_subcommand_from down" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mprism -n "__fish_mprism_using_subcommand infra; and __fish_seen_subcommand_from status" -l home -d 'State folder [env: MPRISM_HOME] [default: $XDG_DATA_HOME/mprism, else ~/.local/share/mprism]' -r -F
complete -c mprism -n "__fish_mprism_using_subcommand infra; and __fish_seen_subcommand_from status" -l config -d 'YAML file laid over the built-in defaults and <home>/config/*.yaml [env: MPRISM_CONFIG]' -r -F
complete -c mprism -n "__fish_mprism_using_subcommand infra; and __fish_seen_subcommand_from status" -l port-offset -d 'Moves every port of this home by N, a multiple of 100 [env: MPRISM_PORT_OFFSET]' -r
complete -c mprism -n "__fish_mprism_using_subcommand infra; and __fish_seen_subcommand_from status" -l color -d 'Colour, which is never part of the meaning [env: NO_COLOR]' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c mprism -n "__fish_mprism_using_subcommand infra; and __fish_seen_subcommand_from status" -l lang -d 'Language of the operator\'s screens; documents stay English [env: LC_ALL, LC_MESSAGES, LANG]' -r -f -a "en\t'English'
zh\t'Simplified Chinese'"
complete -c mprism -n "__fish_mprism_using_subcommand infra; and __fish_seen_subcommand_from status" -l json -d 'Print one JSON document on standard output'
complete -c mprism -n "__fish_mprism_using_subcommand infra; and __fish_seen_subcommand_from status" -s q -l quiet -d 'Say less on standard error'
complete -c mprism -n "__fish_mprism_using_subcommand infra; and __fish_seen_subcommand_from status" -s v -l verbose -d 'Say more on standard error'
complete -c mprism -n "__fish_mprism_using_subcommand infra; and __fish_seen_subcommand_from status" -l yes -d 'Answer every confirmation with yes'
complete -c mprism -n "__fish_mprism_using_subcommand infra; and __fish_seen_subcommand_from status" -l dry-run -d 'Print the plan and change nothing'
complete -c mprism -n "__fish_mprism_using_subcommand infra; and __fish_seen_subcommand_from status" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mprism -n "__fish_mprism_using_subcommand infra; and __fish_seen_subcommand_from logs" -s n -l lines -d 'Show the last N lines of each [default: 100]' -r
complete -c mprism -n "__fish_mprism_using_subcommand infra; and __fish_seen_subcommand_from logs" -l home -d 'State folder [env: MPRISM_HOME] [default: $XDG_DATA_HOME/mprism, else ~/.local/share/mprism]' -r -F
complete -c mprism -n "__fish_mprism_using_subcommand infra; and __fish_seen_subcommand_from logs" -l config -d 'YAML file laid over the built-in defaults and <home>/config/*.yaml [env: MPRISM_CONFIG]' -r -F
complete -c mprism -n "__fish_mprism_using_subcommand infra; and __fish_seen_subcommand_from logs" -l port-offset -d 'Moves every port of this home by N, a multiple of 100 [env: MPRISM_PORT_OFFSET]' -r
complete -c mprism -n "__fish_mprism_using_subcommand infra; and __fish_seen_subcommand_from logs" -l color -d 'Colour, which is never part of the meaning [env: NO_COLOR]' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c mprism -n "__fish_mprism_using_subcommand infra; and __fish_seen_subcommand_from logs" -l lang -d 'Language of the operator\'s screens; documents stay English [env: LC_ALL, LC_MESSAGES, LANG]' -r -f -a "en\t'English'
zh\t'Simplified Chinese'"
complete -c mprism -n "__fish_mprism_using_subcommand infra; and __fish_seen_subcommand_from logs" -s f -l follow -d 'Go on with what is written from now on'
complete -c mprism -n "__fish_mprism_using_subcommand infra; and __fish_seen_subcommand_from logs" -l json -d 'Print one JSON document on standard output'
complete -c mprism -n "__fish_mprism_using_subcommand infra; and __fish_seen_subcommand_from logs" -s q -l quiet -d 'Say less on standard error'
complete -c mprism -n "__fish_mprism_using_subcommand infra; and __fish_seen_subcommand_from logs" -s v -l verbose -d 'Say more on standard error'
complete -c mprism -n "__fish_mprism_using_subcommand infra; and __fish_seen_subcommand_from logs" -l yes -d 'Answer every confirmation with yes'
complete -c mprism -n "__fish_mprism_using_subcommand infra; and __fish_seen_subcommand_from logs" -l dry-run -d 'Print the plan and change nothing'
complete -c mprism -n "__fish_mprism_using_subcommand infra; and __fish_seen_subcommand_from logs" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mprism -n "__fish_mprism_using_subcommand infra; and __fish_seen_subcommand_from compose" -l home -d 'State folder [env: MPRISM_HOME] [default: $XDG_DATA_HOME/mprism, else ~/.local/share/mprism]' -r -F
complete -c mprism -n "__fish_mprism_using_subcommand infra; and __fish_seen_subcommand_from compose" -l config -d 'YAML file laid over the built-in defaults and <home>/config/*.yaml [env: MPRISM_CONFIG]' -r -F
complete -c mprism -n "__fish_mprism_using_subcommand infra; and __fish_seen_subcommand_from compose" -l port-offset -d 'Moves every port of this home by N, a multiple of 100 [env: MPRISM_PORT_OFFSET]' -r
complete -c mprism -n "__fish_mprism_using_subcommand infra; and __fish_seen_subcommand_from compose" -l color -d 'Colour, which is never part of the meaning [env: NO_COLOR]' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c mprism -n "__fish_mprism_using_subcommand infra; and __fish_seen_subcommand_from compose" -l lang -d 'Language of the operator\'s screens; documents stay English [env: LC_ALL, LC_MESSAGES, LANG]' -r -f -a "en\t'English'
zh\t'Simplified Chinese'"
complete -c mprism -n "__fish_mprism_using_subcommand infra; and __fish_seen_subcommand_from compose" -l workers -d 'With containers of hot, collector and cold'
complete -c mprism -n "__fish_mprism_using_subcommand infra; and __fish_seen_subcommand_from compose" -l json -d 'Print one JSON document on standard output'
complete -c mprism -n "__fish_mprism_using_subcommand infra; and __fish_seen_subcommand_from compose" -s q -l quiet -d 'Say less on standard error'
complete -c mprism -n "__fish_mprism_using_subcommand infra; and __fish_seen_subcommand_from compose" -s v -l verbose -d 'Say more on standard error'
complete -c mprism -n "__fish_mprism_using_subcommand infra; and __fish_seen_subcommand_from compose" -l yes -d 'Answer every confirmation with yes'
complete -c mprism -n "__fish_mprism_using_subcommand infra; and __fish_seen_subcommand_from compose" -l dry-run -d 'Print the plan and change nothing'
complete -c mprism -n "__fish_mprism_using_subcommand infra; and __fish_seen_subcommand_from compose" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mprism -n "__fish_mprism_using_subcommand logs" -s n -l lines -d 'Show the last N lines [default: 100, or all with --since]' -r
complete -c mprism -n "__fish_mprism_using_subcommand logs" -l since -d 'Only what is newer: a duration like 10m, or an RFC 3339 time' -r
complete -c mprism -n "__fish_mprism_using_subcommand logs" -l level -d 'Only this level and worse' -r -f -a "error\t'Data was lost or a human is needed'
warn\t'Something went wrong and recovered'
info\t'What an operator wants to know'
debug\t'More'
trace\t'Everything'"
complete -c mprism -n "__fish_mprism_using_subcommand logs" -l home -d 'State folder [env: MPRISM_HOME] [default: $XDG_DATA_HOME/mprism, else ~/.local/share/mprism]' -r -F
complete -c mprism -n "__fish_mprism_using_subcommand logs" -l config -d 'YAML file laid over the built-in defaults and <home>/config/*.yaml [env: MPRISM_CONFIG]' -r -F
complete -c mprism -n "__fish_mprism_using_subcommand logs" -l port-offset -d 'Moves every port of this home by N, a multiple of 100 [env: MPRISM_PORT_OFFSET]' -r
complete -c mprism -n "__fish_mprism_using_subcommand logs" -l color -d 'Colour, which is never part of the meaning [env: NO_COLOR]' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c mprism -n "__fish_mprism_using_subcommand logs" -l lang -d 'Language of the operator\'s screens; documents stay English [env: LC_ALL, LC_MESSAGES, LANG]' -r -f -a "en\t'English'
zh\t'Simplified Chinese'"
complete -c mprism -n "__fish_mprism_using_subcommand logs" -s f -l follow -d 'Go on with what is written from now on'
complete -c mprism -n "__fish_mprism_using_subcommand logs" -l json -d 'Print one JSON document on standard output'
complete -c mprism -n "__fish_mprism_using_subcommand logs" -s q -l quiet -d 'Say less on standard error'
complete -c mprism -n "__fish_mprism_using_subcommand logs" -s v -l verbose -d 'Say more on standard error'
complete -c mprism -n "__fish_mprism_using_subcommand logs" -l yes -d 'Answer every confirmation with yes'
complete -c mprism -n "__fish_mprism_using_subcommand logs" -l dry-run -d 'Print the plan and change nothing'
complete -c mprism -n "__fish_mprism_using_subcommand logs" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mprism -n "__fish_mprism_using_subcommand replay" -l to -d 'Where the messages go' -r -f -a "stdout\t'One message a line on standard output'"
complete -c mprism -n "__fish_mprism_using_subcommand replay" -l exchange -d 'The exchange, where the path does not say it' -r
complete -c mprism -n "__fish_mprism_using_subcommand replay" -l market -d 'The market, where the path does not say it' -r
complete -c mprism -n "__fish_mprism_using_subcommand replay" -l books -d 'Which order books are told' -r -f -a "cadence\t'As in production: when changed, at the cadence of the settings'
every\t'After each applied frame'
final\t'Once an instrument, at the end'"
complete -c mprism -n "__fish_mprism_using_subcommand replay" -l instruments -d 'The exchange\'s own list of instruments: what a contract is worth' -r -F
complete -c mprism -n "__fish_mprism_using_subcommand replay" -l home -d 'State folder [env: MPRISM_HOME] [default: $XDG_DATA_HOME/mprism, else ~/.local/share/mprism]' -r -F
complete -c mprism -n "__fish_mprism_using_subcommand replay" -l config -d 'YAML file laid over the built-in defaults and <home>/config/*.yaml [env: MPRISM_CONFIG]' -r -F
complete -c mprism -n "__fish_mprism_using_subcommand replay" -l port-offset -d 'Moves every port of this home by N, a multiple of 100 [env: MPRISM_PORT_OFFSET]' -r
complete -c mprism -n "__fish_mprism_using_subcommand replay" -l color -d 'Colour, which is never part of the meaning [env: NO_COLOR]' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c mprism -n "__fish_mprism_using_subcommand replay" -l lang -d 'Language of the operator\'s screens; documents stay English [env: LC_ALL, LC_MESSAGES, LANG]' -r -f -a "en\t'English'
zh\t'Simplified Chinese'"
complete -c mprism -n "__fish_mprism_using_subcommand replay" -l trace -d 'Say with each message which file, line and item it comes from'
complete -c mprism -n "__fish_mprism_using_subcommand replay" -l json -d 'Print one JSON document on standard output'
complete -c mprism -n "__fish_mprism_using_subcommand replay" -s q -l quiet -d 'Say less on standard error'
complete -c mprism -n "__fish_mprism_using_subcommand replay" -s v -l verbose -d 'Say more on standard error'
complete -c mprism -n "__fish_mprism_using_subcommand replay" -l yes -d 'Answer every confirmation with yes'
complete -c mprism -n "__fish_mprism_using_subcommand replay" -l dry-run -d 'Print the plan and change nothing'
complete -c mprism -n "__fish_mprism_using_subcommand replay" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mprism -n "__fish_mprism_using_subcommand smoke" -l duration -d 'How long market data flows' -r
complete -c mprism -n "__fish_mprism_using_subcommand smoke" -l sample -d 'Print row counts at this interval' -r
complete -c mprism -n "__fish_mprism_using_subcommand smoke" -l home -d 'State folder [env: MPRISM_HOME] [default: $XDG_DATA_HOME/mprism, else ~/.local/share/mprism]' -r -F
complete -c mprism -n "__fish_mprism_using_subcommand smoke" -l config -d 'YAML file laid over the built-in defaults and <home>/config/*.yaml [env: MPRISM_CONFIG]' -r -F
complete -c mprism -n "__fish_mprism_using_subcommand smoke" -l port-offset -d 'Moves every port of this home by N, a multiple of 100 [env: MPRISM_PORT_OFFSET]' -r
complete -c mprism -n "__fish_mprism_using_subcommand smoke" -l color -d 'Colour, which is never part of the meaning [env: NO_COLOR]' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c mprism -n "__fish_mprism_using_subcommand smoke" -l lang -d 'Language of the operator\'s screens; documents stay English [env: LC_ALL, LC_MESSAGES, LANG]' -r -f -a "en\t'English'
zh\t'Simplified Chinese'"
complete -c mprism -n "__fish_mprism_using_subcommand smoke" -l live -d 'Collect from the exchanges instead of the simulator, as --config says'
complete -c mprism -n "__fish_mprism_using_subcommand smoke" -l json -d 'Print one JSON document on standard output'
complete -c mprism -n "__fish_mprism_using_subcommand smoke" -s q -l quiet -d 'Say less on standard error'
complete -c mprism -n "__fish_mprism_using_subcommand smoke" -s v -l verbose -d 'Say more on standard error'
complete -c mprism -n "__fish_mprism_using_subcommand smoke" -l yes -d 'Answer every confirmation with yes'
complete -c mprism -n "__fish_mprism_using_subcommand smoke" -l dry-run -d 'Print the plan and change nothing'
complete -c mprism -n "__fish_mprism_using_subcommand smoke" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mprism -n "__fish_mprism_using_subcommand bench" -l baseline -d 'Compare with what an earlier run with --json printed; what got worse than both runs\' spread is a failure' -r -F
complete -c mprism -n "__fish_mprism_using_subcommand bench" -l frames -d 'collector: recorded frames to parse, a folder with exchange, market and type in its paths' -r -F
complete -c mprism -n "__fish_mprism_using_subcommand bench" -l plot -d 'collector, pipeline: measure what a row costs by the number of symbols, and draw it into this folder' -r -F
complete -c mprism -n "__fish_mprism_using_subcommand bench" -l rate -d 'pipeline: rows of trades a second [default: 40000]' -r
complete -c mprism -n "__fish_mprism_using_subcommand bench" -l for -d 'pipeline, transport: how long the measurement goes on [default: 5m]' -r
complete -c mprism -n "__fish_mprism_using_subcommand bench" -l steps -d 'pipeline: rates tried beyond the first, to find the highest that is sustained [default: 6]' -r
complete -c mprism -n "__fish_mprism_using_subcommand bench" -l window -d 'transport: how long a window of percentiles is [default: 1m]' -r
complete -c mprism -n "__fish_mprism_using_subcommand bench" -l subject -d 'transport: a subject to listen to; may be repeated [default: those of collector.mirror.subjects]' -r
complete -c mprism -n "__fish_mprism_using_subcommand bench" -l jsonl -d 'transport: append a line of JSON for every window to this file' -r -F
complete -c mprism -n "__fish_mprism_using_subcommand bench" -l home -d 'State folder [env: MPRISM_HOME] [default: $XDG_DATA_HOME/mprism, else ~/.local/share/mprism]' -r -F
complete -c mprism -n "__fish_mprism_using_subcommand bench" -l config -d 'YAML file laid over the built-in defaults and <home>/config/*.yaml [env: MPRISM_CONFIG]' -r -F
complete -c mprism -n "__fish_mprism_using_subcommand bench" -l port-offset -d 'Moves every port of this home by N, a multiple of 100 [env: MPRISM_PORT_OFFSET]' -r
complete -c mprism -n "__fish_mprism_using_subcommand bench" -l color -d 'Colour, which is never part of the meaning [env: NO_COLOR]' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c mprism -n "__fish_mprism_using_subcommand bench" -l lang -d 'Language of the operator\'s screens; documents stay English [env: LC_ALL, LC_MESSAGES, LANG]' -r -f -a "en\t'English'
zh\t'Simplified Chinese'"
complete -c mprism -n "__fish_mprism_using_subcommand bench" -l sim -d 'transport: measure in a temporary home with a simulated market, even where this home\'s collector runs'
complete -c mprism -n "__fish_mprism_using_subcommand bench" -l json -d 'Print one JSON document on standard output'
complete -c mprism -n "__fish_mprism_using_subcommand bench" -s q -l quiet -d 'Say less on standard error'
complete -c mprism -n "__fish_mprism_using_subcommand bench" -s v -l verbose -d 'Say more on standard error'
complete -c mprism -n "__fish_mprism_using_subcommand bench" -l yes -d 'Answer every confirmation with yes'
complete -c mprism -n "__fish_mprism_using_subcommand bench" -l dry-run -d 'Print the plan and change nothing'
complete -c mprism -n "__fish_mprism_using_subcommand bench" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mprism -n "__fish_mprism_using_subcommand systemd; and not __fish_seen_subcommand_from print install uninstall" -l name -d 'Name of the unit, for several homes on one machine' -r
complete -c mprism -n "__fish_mprism_using_subcommand systemd; and not __fish_seen_subcommand_from print install uninstall" -l home -d 'State folder [env: MPRISM_HOME] [default: $XDG_DATA_HOME/mprism, else ~/.local/share/mprism]' -r -F
complete -c mprism -n "__fish_mprism_using_subcommand systemd; and not __fish_seen_subcommand_from print install uninstall" -l config -d 'YAML file laid over the built-in defaults and <home>/config/*.yaml [env: MPRISM_CONFIG]' -r -F
complete -c mprism -n "__fish_mprism_using_subcommand systemd; and not __fish_seen_subcommand_from print install uninstall" -l port-offset -d 'Moves every port of this home by N, a multiple of 100 [env: MPRISM_PORT_OFFSET]' -r
complete -c mprism -n "__fish_mprism_using_subcommand systemd; and not __fish_seen_subcommand_from print install uninstall" -l color -d 'Colour, which is never part of the meaning [env: NO_COLOR]' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c mprism -n "__fish_mprism_using_subcommand systemd; and not __fish_seen_subcommand_from print install uninstall" -l lang -d 'Language of the operator\'s screens; documents stay English [env: LC_ALL, LC_MESSAGES, LANG]' -r -f -a "en\t'English'
zh\t'Simplified Chinese'"
complete -c mprism -n "__fish_mprism_using_subcommand systemd; and not __fish_seen_subcommand_from print install uninstall" -l system -d 'Of the machine\'s systemd [default: for root]'
complete -c mprism -n "__fish_mprism_using_subcommand systemd; and not __fish_seen_subcommand_from print install uninstall" -l user -d 'Of this user\'s systemd [default: for everybody else]'
complete -c mprism -n "__fish_mprism_using_subcommand systemd; and not __fish_seen_subcommand_from print install uninstall" -l json -d 'Print one JSON document on standard output'
complete -c mprism -n "__fish_mprism_using_subcommand systemd; and not __fish_seen_subcommand_from print install uninstall" -s q -l quiet -d 'Say less on standard error'
complete -c mprism -n "__fish_mprism_using_subcommand systemd; and not __fish_seen_subcommand_from print install uninstall" -s v -l verbose -d 'Say more on standard error'
complete -c mprism -n "__fish_mprism_using_subcommand systemd; and not __fish_seen_subcommand_from print install uninstall" -l yes -d 'Answer every confirmation with yes'
complete -c mprism -n "__fish_mprism_using_subcommand systemd; and not __fish_seen_subcommand_from print install uninstall" -l dry-run -d 'Print the plan and change nothing'
complete -c mprism -n "__fish_mprism_using_subcommand systemd; and not __fish_seen_subcommand_from print install uninstall" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mprism -n "__fish_mprism_using_subcommand systemd; and not __fish_seen_subcommand_from print install uninstall" -f -a "print" -d 'Print the unit'
complete -c mprism -n "__fish_mprism_using_subcommand systemd; and not __fish_seen_subcommand_from print install uninstall" -f -a "install" -d 'Write the unit where systemd looks, and enable it'
complete -c mprism -n "__fish_mprism_using_subcommand systemd; and not __fish_seen_subcommand_from print install uninstall" -f -a "uninstall" -d 'Stop, disable and remove the unit'
complete -c mprism -n "__fish_mprism_using_subcommand systemd; and __fish_seen_subcommand_from print" -l name -d 'Name of the unit, for several homes on one machine' -r
complete -c mprism -n "__fish_mprism_using_subcommand systemd; and __fish_seen_subcommand_from print" -l home -d 'State folder [env: MPRISM_HOME] [default: $XDG_DATA_HOME/mprism, else ~/.local/share/mprism]' -r -F
complete -c mprism -n "__fish_mprism_using_subcommand systemd; and __fish_seen_subcommand_from print" -l config -d 'YAML file laid over the built-in defaults and <home>/config/*.yaml [env: MPRISM_CONFIG]' -r -F
complete -c mprism -n "__fish_mprism_using_subcommand systemd; and __fish_seen_subcommand_from print" -l port-offset -d 'Moves every port of this home by N, a multiple of 100 [env: MPRISM_PORT_OFFSET]' -r
complete -c mprism -n "__fish_mprism_using_subcommand systemd; and __fish_seen_subcommand_from print" -l color -d 'Colour, which is never part of the meaning [env: NO_COLOR]' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c mprism -n "__fish_mprism_using_subcommand systemd; and __fish_seen_subcommand_from print" -l lang -d 'Language of the operator\'s screens; documents stay English [env: LC_ALL, LC_MESSAGES, LANG]' -r -f -a "en\t'English'
zh\t'Simplified Chinese'"
complete -c mprism -n "__fish_mprism_using_subcommand systemd; and __fish_seen_subcommand_from print" -l system -d 'Of the machine\'s systemd [default: for root]'
complete -c mprism -n "__fish_mprism_using_subcommand systemd; and __fish_seen_subcommand_from print" -l user -d 'Of this user\'s systemd [default: for everybody else]'
complete -c mprism -n "__fish_mprism_using_subcommand systemd; and __fish_seen_subcommand_from print" -l json -d 'Print one JSON document on standard output'
complete -c mprism -n "__fish_mprism_using_subcommand systemd; and __fish_seen_subcommand_from print" -s q -l quiet -d 'Say less on standard error'
complete -c mprism -n "__fish_mprism_using_subcommand systemd; and __fish_seen_subcommand_from print" -s v -l verbose -d 'Say more on standard error'
complete -c mprism -n "__fish_mprism_using_subcommand systemd; and __fish_seen_subcommand_from print" -l yes -d 'Answer every confirmation with yes'
complete -c mprism -n "__fish_mprism_using_subcommand systemd; and __fish_seen_subcommand_from print" -l dry-run -d 'Print the plan and change nothing'
complete -c mprism -n "__fish_mprism_using_subcommand systemd; and __fish_seen_subcommand_from print" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mprism -n "__fish_mprism_using_subcommand systemd; and __fish_seen_subcommand_from install" -l name -d 'Name of the unit, for several homes on one machine' -r
complete -c mprism -n "__fish_mprism_using_subcommand systemd; and __fish_seen_subcommand_from install" -l home -d 'State folder [env: MPRISM_HOME] [default: $XDG_DATA_HOME/mprism, else ~/.local/share/mprism]' -r -F
complete -c mprism -n "__fish_mprism_using_subcommand systemd; and __fish_seen_subcommand_from install" -l config -d 'YAML file laid over the built-in defaults and <home>/config/*.yaml [env: MPRISM_CONFIG]' -r -F
complete -c mprism -n "__fish_mprism_using_subcommand systemd; and __fish_seen_subcommand_from install" -l port-offset -d 'Moves every port of this home by N, a multiple of 100 [env: MPRISM_PORT_OFFSET]' -r
complete -c mprism -n "__fish_mprism_using_subcommand systemd; and __fish_seen_subcommand_from install" -l color -d 'Colour, which is never part of the meaning [env: NO_COLOR]' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c mprism -n "__fish_mprism_using_subcommand systemd; and __fish_seen_subcommand_from install" -l lang -d 'Language of the operator\'s screens; documents stay English [env: LC_ALL, LC_MESSAGES, LANG]' -r -f -a "en\t'English'
zh\t'Simplified Chinese'"
complete -c mprism -n "__fish_mprism_using_subcommand systemd; and __fish_seen_subcommand_from install" -l system -d 'Of the machine\'s systemd [default: for root]'
complete -c mprism -n "__fish_mprism_using_subcommand systemd; and __fish_seen_subcommand_from install" -l user -d 'Of this user\'s systemd [default: for everybody else]'
complete -c mprism -n "__fish_mprism_using_subcommand systemd; and __fish_seen_subcommand_from install" -l json -d 'Print one JSON document on standard output'
complete -c mprism -n "__fish_mprism_using_subcommand systemd; and __fish_seen_subcommand_from install" -s q -l quiet -d 'Say less on standard error'
complete -c mprism -n "__fish_mprism_using_subcommand systemd; and __fish_seen_subcommand_from install" -s v -l verbose -d 'Say more on standard error'
complete -c mprism -n "__fish_mprism_using_subcommand systemd; and __fish_seen_subcommand_from install" -l yes -d 'Answer every confirmation with yes'
complete -c mprism -n "__fish_mprism_using_subcommand systemd; and __fish_seen_subcommand_from install" -l dry-run -d 'Print the plan and change nothing'
complete -c mprism -n "__fish_mprism_using_subcommand systemd; and __fish_seen_subcommand_from install" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mprism -n "__fish_mprism_using_subcommand systemd; and __fish_seen_subcommand_from uninstall" -l name -d 'Name of the unit, for several homes on one machine' -r
complete -c mprism -n "__fish_mprism_using_subcommand systemd; and __fish_seen_subcommand_from uninstall" -l home -d 'State folder [env: MPRISM_HOME] [default: $XDG_DATA_HOME/mprism, else ~/.local/share/mprism]' -r -F
complete -c mprism -n "__fish_mprism_using_subcommand systemd; and __fish_seen_subcommand_from uninstall" -l config -d 'YAML file laid over the built-in defaults and <home>/config/*.yaml [env: MPRISM_CONFIG]' -r -F
complete -c mprism -n "__fish_mprism_using_subcommand systemd; and __fish_seen_subcommand_from uninstall" -l port-offset -d 'Moves every port of this home by N, a multiple of 100 [env: MPRISM_PORT_OFFSET]' -r
complete -c mprism -n "__fish_mprism_using_subcommand systemd; and __fish_seen_subcommand_from uninstall" -l color -d 'Colour, which is never part of the meaning [env: NO_COLOR]' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c mprism -n "__fish_mprism_using_subcommand systemd; and __fish_seen_subcommand_from uninstall" -l lang -d 'Language of the operator\'s screens; documents stay English [env: LC_ALL, LC_MESSAGES, LANG]' -r -f -a "en\t'English'
zh\t'Simplified Chinese'"
complete -c mprism -n "__fish_mprism_using_subcommand systemd; and __fish_seen_subcommand_from uninstall" -l system -d 'Of the machine\'s systemd [default: for root]'
complete -c mprism -n "__fish_mprism_using_subcommand systemd; and __fish_seen_subcommand_from uninstall" -l user -d 'Of this user\'s systemd [default: for everybody else]'
complete -c mprism -n "__fish_mprism_using_subcommand systemd; and __fish_seen_subcommand_from uninstall" -l json -d 'Print one JSON document on standard output'
complete -c mprism -n "__fish_mprism_using_subcommand systemd; and __fish_seen_subcommand_from uninstall" -s q -l quiet -d 'Say less on standard error'
complete -c mprism -n "__fish_mprism_using_subcommand systemd; and __fish_seen_subcommand_from uninstall" -s v -l verbose -d 'Say more on standard error'
complete -c mprism -n "__fish_mprism_using_subcommand systemd; and __fish_seen_subcommand_from uninstall" -l yes -d 'Answer every confirmation with yes'
complete -c mprism -n "__fish_mprism_using_subcommand systemd; and __fish_seen_subcommand_from uninstall" -l dry-run -d 'Print the plan and change nothing'
complete -c mprism -n "__fish_mprism_using_subcommand systemd; and __fish_seen_subcommand_from uninstall" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mprism -n "__fish_mprism_using_subcommand completions" -l home -d 'State folder [env: MPRISM_HOME] [default: $XDG_DATA_HOME/mprism, else ~/.local/share/mprism]' -r -F
complete -c mprism -n "__fish_mprism_using_subcommand completions" -l config -d 'YAML file laid over the built-in defaults and <home>/config/*.yaml [env: MPRISM_CONFIG]' -r -F
complete -c mprism -n "__fish_mprism_using_subcommand completions" -l port-offset -d 'Moves every port of this home by N, a multiple of 100 [env: MPRISM_PORT_OFFSET]' -r
complete -c mprism -n "__fish_mprism_using_subcommand completions" -l color -d 'Colour, which is never part of the meaning [env: NO_COLOR]' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c mprism -n "__fish_mprism_using_subcommand completions" -l lang -d 'Language of the operator\'s screens; documents stay English [env: LC_ALL, LC_MESSAGES, LANG]' -r -f -a "en\t'English'
zh\t'Simplified Chinese'"
complete -c mprism -n "__fish_mprism_using_subcommand completions" -l json -d 'Print one JSON document on standard output'
complete -c mprism -n "__fish_mprism_using_subcommand completions" -s q -l quiet -d 'Say less on standard error'
complete -c mprism -n "__fish_mprism_using_subcommand completions" -s v -l verbose -d 'Say more on standard error'
complete -c mprism -n "__fish_mprism_using_subcommand completions" -l yes -d 'Answer every confirmation with yes'
complete -c mprism -n "__fish_mprism_using_subcommand completions" -l dry-run -d 'Print the plan and change nothing'
complete -c mprism -n "__fish_mprism_using_subcommand completions" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mprism -n "__fish_mprism_using_subcommand man" -l home -d 'State folder [env: MPRISM_HOME] [default: $XDG_DATA_HOME/mprism, else ~/.local/share/mprism]' -r -F
complete -c mprism -n "__fish_mprism_using_subcommand man" -l config -d 'YAML file laid over the built-in defaults and <home>/config/*.yaml [env: MPRISM_CONFIG]' -r -F
complete -c mprism -n "__fish_mprism_using_subcommand man" -l port-offset -d 'Moves every port of this home by N, a multiple of 100 [env: MPRISM_PORT_OFFSET]' -r
complete -c mprism -n "__fish_mprism_using_subcommand man" -l color -d 'Colour, which is never part of the meaning [env: NO_COLOR]' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c mprism -n "__fish_mprism_using_subcommand man" -l lang -d 'Language of the operator\'s screens; documents stay English [env: LC_ALL, LC_MESSAGES, LANG]' -r -f -a "en\t'English'
zh\t'Simplified Chinese'"
complete -c mprism -n "__fish_mprism_using_subcommand man" -l json -d 'Print one JSON document on standard output'
complete -c mprism -n "__fish_mprism_using_subcommand man" -s q -l quiet -d 'Say less on standard error'
complete -c mprism -n "__fish_mprism_using_subcommand man" -s v -l verbose -d 'Say more on standard error'
complete -c mprism -n "__fish_mprism_using_subcommand man" -l yes -d 'Answer every confirmation with yes'
complete -c mprism -n "__fish_mprism_using_subcommand man" -l dry-run -d 'Print the plan and change nothing'
complete -c mprism -n "__fish_mprism_using_subcommand man" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mprism -n "__fish_mprism_using_subcommand init" -f -a "nats clickhouse hot collector cold sim broker storage all"
complete -c mprism -n "__fish_mprism_using_subcommand start" -f -a "nats clickhouse hot collector cold sim broker storage all"
complete -c mprism -n "__fish_mprism_using_subcommand stop" -f -a "nats clickhouse hot collector cold sim broker storage all"
complete -c mprism -n "__fish_mprism_using_subcommand restart" -f -a "nats clickhouse hot collector cold sim broker storage all"
complete -c mprism -n "__fish_mprism_using_subcommand status" -f -a "nats clickhouse hot collector cold sim broker storage all"
complete -c mprism -n "__fish_mprism_using_subcommand health" -f -a "nats clickhouse hot collector cold sim broker storage all"
complete -c mprism -n "__fish_mprism_using_subcommand integrity" -f -a "storage hot cold"
complete -c mprism -n "__fish_mprism_using_subcommand clean" -f -a "nats clickhouse hot collector cold sim broker storage all"
complete -c mprism -n "__fish_mprism_using_subcommand export" -f -a "orderbook trade funding_rate open_interest liquidation lsr_top_position lsr_all_account volatility_index"
complete -c mprism -n "__fish_mprism_using_subcommand logs" -f -a "supervisor nats clickhouse hot collector cold sim broker storage all"
complete -c mprism -n "__fish_mprism_using_subcommand bench" -f -a "start status control collector storage pipeline transport all"
complete -c mprism -n "__fish_mprism_using_subcommand completions" -f -a "bash zsh fish"
