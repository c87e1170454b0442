# What places workers and makes room (packaging/): it parses, and has no option that the programs do not have.
# shellcheck shell=bash disable=SC2154

# has_options VERB WORD...: each --option among the words is in the verb's help.
has_options()
{
	local verb=$1 word
	coffer "$verb" --help >"$T/help"
	for word in "${@:2}"; do
		case $word in
		--*) grep -q -- "^ *${word%%=*}\b" "$T/help" || fail "'coffer $verb' has no option '$word'" ;;
		esac
	done
}

# Of the manifests: every command line as "VERB WORD…", and the files of the ConfigMap.
e2e_placing_by_kubernetes() # once
{
	/usr/bin/python3 -c 'import yaml' 2>/dev/null || skip 'there is no python3-yaml'
	local verb words name
	/usr/bin/python3 - "$TESTS/../packaging/kubernetes/coffer.yaml" "$T" >"$T/lines" <<'PY' || fail "the manifest is not right: $(<"$T/lines")"
import sys
import yaml

all = list(yaml.safe_load_all(open(sys.argv[1])))
names = {(x["kind"], x["metadata"]["name"]) for x in all}
assert len(names) == len(all), "a name is there twice"
for x in all:
    spec = x.get("spec", {})
    if x["kind"] == "ConfigMap":
        for name, text in x["data"].items():
            open(sys.argv[2] + "/" + name, "w").write(text)
    if x["kind"] == "StatefulSet":
        labels = spec["template"]["metadata"]["labels"]
        assert spec["selector"]["matchLabels"] == labels, "the selector does not find its pods"
        assert ("Service", spec["serviceName"]) in names, "no such service"
    pod = spec.get("template") or spec.get("jobTemplate", {}).get("spec", {}).get("template")
    if pod:
        volumes = {v["name"] for v in pod["spec"]["volumes"]}
        for v in pod["spec"]["volumes"]:
            assert "configMap" not in v or ("ConfigMap", v["configMap"]["name"]) in names, "no such ConfigMap"
        for c in pod["spec"]["containers"]:
            assert {m["name"] for m in c["volumeMounts"]} <= volumes, "a mount without a volume"
            print(*c["args"])
PY
	[ "$(wc -l <"$T/lines")" = 3 ] || fail "command lines: $(<"$T/lines")"
	while read -r verb words; do
		# shellcheck disable=SC2086
		has_options "$verb" $words
	done <"$T/lines"
	# A setting that is not known is the first thing that is told.
	for name in scheduler worker; do
		[ -s "$T/$name.conf" ] || fail "no $name.conf"
		coffer $name --config "$T/$name.conf" --check >"$T/out" 2>&1
		! grep -Eq 'unknown|is no setting|takes' "$T/out" || fail "$name.conf: $(<"$T/out")"
		echo 'nosuch = 1' >>"$T/$name.conf"
		coffer $name --config "$T/$name.conf" --check >"$T/out" 2>&1
		grep -q nosuch "$T/out" || fail "a wrong setting of $name.conf is not told: $(<"$T/out")"
	done
}

e2e_placing_by_slurm_and_systemd() # once
{
	local line
	bash -n "$TESTS/../packaging/slurm/coffer-worker.sbatch" || fail "the script does not parse"
	line=$(grep '^coffer worker' "$TESTS/../packaging/slurm/coffer-worker.sbatch")
	# shellcheck disable=SC2086
	has_options worker $line
	line=$(sed -n 's/^ExecStart=//p' "$TESTS/../packaging/systemd/coffer-store-gc.service")
	# shellcheck disable=SC2086
	has_options cache $line
	# The worker ends: so does the job, with its status, and nothing is left.
	mkdir "$T/bin" "$T/tmp"
	printf '#!/bin/sh\nsleep 600 & trap "kill $!; exit 7" TERM\necho "$@" >%q\nwait\n' "$T/worker.args" >"$T/bin/coffer"
	chmod +x "$T/bin/coffer"
	PATH="$T/bin:$PATH" SLURM_TMPDIR=$T/tmp SLURM_JOB_ID=5 SLURM_CPUS_ON_NODE=3 bash "$TESTS/../packaging/slurm/coffer-worker.sbatch" &
	line=$!
	wait_until 10 "[ -s '$T/worker.args' ]" || fail "no worker is started"
	grep -q -- "--slots 3" "$T/worker.args" || fail "$(<"$T/worker.args")"
	kill -TERM "$line"
	wait "$line"
	[ $? = 7 ] || fail "the worker's status is lost"
	[ -z "$(ls -A "$T/tmp")" ] || fail "left: $(ls "$T/tmp")"
}
