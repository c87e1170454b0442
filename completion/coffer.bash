# Completion of coffer(1) for bash. Without a verb, what follows is a command of its own.
# shellcheck shell=bash

_coffer_settings='enabled recompile_check max_size compression reproducible root preprocessed text_hits read_only recache max_output
	max_manifest_entries keep_texts watched_folders local_jobs idle_timeout compiler extra_key log_level scheduler scheduler_ca certificate
	certificate_key token_file tenant image isolation worker cluster cluster_credentials cluster_ca cluster_properties send worker_messages farm_explain remote_jobs remote_timeout paranoid shared_store
	audit_directory shared_store_access shared_store_credentials shared_store_ca shared_store_key shared_store_signer shared_store_verifiers
	shared_store_name shared_store_explain shared_store_timeout'
_coffer_verbs='stats explain config cache doctor make ninja cmake run recompile-check status stop farm scheduler worker gateway audit inspect image replay token keys help version'

# Words that may follow a verb.
_coffer_words_of()
{
	case $1 in
	stats) echo '--tsv --json --zero --help' ;;
	config) echo 'get set unset --tsv --json --help' ;;
	doctor) echo 'worker --json --help' ;;
	explain) echo 'last --build --since --html --json --help' ;;
	cache) echo 'path gc verify clear push pull --build --since --store --max-size --max-age --grace --time-limit --dry-run --help' ;;
	audit) echo 'ls verify prove check provenance verify-provenance key index --rebuild --signing-key --builder --log --key --from --format --where --since --until --last --help' ;;
	inspect) echo '--log --folder --last --json --help' ;;
	image) echo 'import ls verify rm gc --images --ref --credentials --ca --token-server --plain-http --no-disk --unused --dry-run --folder --help' ;;
	replay) echo '--sample --config --folder --images --runtime --agent --log --help' ;;
	token) echo 'issue inspect --key --worker --tenant --image --isolation --slots --lifetime --name --out --jwks --help' ;;
	farm) echo 'try add --workers --runtime --image --images --vm-kernel --vm-modules --site --name --dry-run --help' ;;
	keys) echo 'init add rotate --scheduler --worker --tenant --days --help' ;;
	scheduler | worker | gateway) echo '--config --check --help' ;;
	help) echo "$_coffer_verbs" ;;
	status) echo '--json --watch --interval --help' ;;
	stop | version) echo '--help' ;;
	esac
}

# The value of NAME=VALUE; readline has split the word at '='.
_coffer_value()
{
	local values=
	case $1 in
	enabled | reproducible | preprocessed | text_hits | read_only | recache | keep_texts) values='on off' ;;
	log_level) values='error warn info debug' ;;
	root)
		mapfile -t COMPREPLY < <(compgen -d -- "$2")
		return
		;;
	esac
	mapfile -t COMPREPLY < <(compgen -W "$values" -- "$2")
}

# Completes the command that begins at word $1, as if coffer were not there.
_coffer_command()
{
	if declare -F _command_offset >/dev/null; then
		_command_offset "$1"
	elif [ "$COMP_CWORD" -eq "$1" ]; then
		mapfile -t COMPREPLY < <(compgen -c -- "${COMP_WORDS[COMP_CWORD]}")
	else
		mapfile -t COMPREPLY < <(compgen -f -- "${COMP_WORDS[COMP_CWORD]}")
	fi
}

_coffer()
{
	local at=1 word=${COMP_WORDS[COMP_CWORD]}
	COMPREPLY=()
	# After each --set come NAME, "=" and VALUE, of which the last ones may be missing yet; one word where '=' breaks none.
	while [ "${COMP_WORDS[at]-}" = --set ] && [ "$at" -lt "$COMP_CWORD" ]; do
		if [ "$COMP_CWORD" -eq $((at + 1)) ]; then
			mapfile -t COMPREPLY < <(compgen -S = -W "$_coffer_settings" -- "$word")
			compopt -o nospace
			return
		elif [ "${COMP_WORDS[at + 2]-}" = = ] && [ "$COMP_CWORD" -le $((at + 3)) ]; then
			_coffer_value "${COMP_WORDS[at + 1]}" "${word#=}"
			return
		fi
		[ "${COMP_WORDS[at + 2]-}" = = ] && at=$((at + 4)) || at=$((at + 2))
	done
	if [ "$COMP_CWORD" -eq "$at" ]; then
		# All commands there are would hide the verbs.
		[ -z "$word" ] || _coffer_command "$at"
		mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -W "$_coffer_verbs --set --help --version" -- "$word")
		return
	fi
	case ${COMP_WORDS[at]} in
	make | ninja | cmake)
		_coffer_command "$at"
		;;
	run)
		at=$((at + 1))
		[ "${COMP_WORDS[at]}" != -- ] || at=$((at + 1))
		_coffer_command "$at"
		;;
	recompile-check)
		at=$((at + 1))
		[ "${COMP_WORDS[at]}" != --percent ] || at=$((at + 2))
		_coffer_command "$at"
		;;
	stats | config | doctor | cache | help | status | stop | version | explain | audit | image | replay | token | keys | scheduler | worker | gateway)
		mapfile -t COMPREPLY < <(compgen -W "$(_coffer_words_of "${COMP_WORDS[at]}")" -- "$word")
		if [ "${COMP_WORDS[at]}" = explain ]; then
			mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -f -- "$word")
			compopt -o filenames
		fi
		;;
	*)
		_coffer_command "$at"
		;;
	esac
}

complete -F _coffer coffer
