# Completion of coffer(1) for bash. Without a verb, what follows is a command of its own.
# shellcheck shell=bash

_coffer_settings='enabled recompile_check max_size compression reproducible root preprocessed text_hits read_only recache max_output
	max_manifest_entries keep_texts watched_folders local_jobs idle_timeout compiler extra_key log_level scheduler scheduler_ca certificate
	certificate_key token_file tenant image isolation worker cluster cluster_credentials cluster_ca cluster_properties send worker_messages farm_explain remote_jobs remote_timeout paranoid shared_store
	audit_directory shared_store_access shared_store_credentials shared_store_ca shared_store_key shared_store_signer shared_store_verifiers
	shared_store_name shared_store_explain shared_store_timeout'
_coffer_verbs='stats explain config cache doctor make ninja cmake run recompile-check status stop farm scheduler worker gateway audit inspect image replay token keys help version'

# What may follow a verb: its own words, and the options that its help names.
_coffer_words_of()
{
	case $2 in
	config) echo 'get set unset' ;;
	doctor) echo 'worker' ;;
	explain) echo 'last' ;;
	cache) echo 'path gc verify clear push pull' ;;
	audit) echo 'ls verify prove check provenance verify-provenance key index' ;;
	image) echo 'import ls verify rm gc' ;;
	token) echo 'issue inspect' ;;
	farm) echo 'try add' ;;
	keys) echo 'init add rotate' ;;
	help) echo "$_coffer_verbs" ;;
	esac
	{
		"$1" "$2" --help 2>/dev/null | grep -oE -e '(^ +|[[|] *)--[a-z][a-z-]*' | tr -d ' [|'
		echo --help
	} | sort -u
}

# The value of NAME=VALUE; readline has split the word at '='.
_coffer_value()
{
	local values=
	case $1 in
	enabled | reproducible | preprocessed | text_hits | read_only | recache | keep_texts | farm_explain | paranoid | shared_store_explain)
		values='on off'
		;;
	log_level) values='error warn info debug' ;;
	send) values='auto text tree' ;;
	worker_messages) values='show check' ;;
	shared_store_access) values='read-only read-write push' ;;
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
	local words=
	case ${COMP_WORDS[at]}:$((COMP_CWORD - at)) in
	make:* | ninja:* | cmake:* | run:1 | recompile-check:1)
		[[ $word != --* ]] || words=$(_coffer_words_of "${COMP_WORDS[0]}" "${COMP_WORDS[at]}")
		;;
	esac
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
	stats | config | doctor | cache | help | status | stop | version | explain | audit | inspect | image | replay | token | keys | \
		farm | scheduler | worker | gateway)
		words=$(_coffer_words_of "${COMP_WORDS[0]}" "${COMP_WORDS[at]}")
		case ${COMP_WORDS[at]} in
		config | help | status | stop | version | stats | doctor) ;;
		*)
			mapfile -t COMPREPLY < <(compgen -f -- "$word")
			compopt -o filenames
			;;
		esac
		;;
	*)
		_coffer_command "$at"
		;;
	esac
	mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -W "$words" -- "$word")
}

complete -F _coffer coffer
