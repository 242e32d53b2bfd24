{{/* Of what stands around the pods: gateway, autoscaler, load test. Called by firstword.checks. */}}
{{- define "firstword.edgeChecks" -}}
{{- include "firstword.hostnameChecks" . -}}
{{- include "firstword.splitChecks" . -}}
{{- range $pool := fromJsonArray (include "firstword.pools" .) -}}
  {{- $at := printf "pools, %q" $pool.name -}}
  {{- include "firstword.autoscalingChecks" (dict "root" $ "at" $at "pool" $pool) -}}
  {{- if $.Values.inferencePool.enabled -}}
    {{- $picker := include "firstword.pickerName" (dict "root" $ "pool" $pool) -}}
    {{- if gt (len $picker) 63 -}}
      {{- fail (printf "%s: its picker would be named %s, %d characters long, and 63 is the most: shorten the release's or the pool's name." $at $picker (len $picker)) -}}
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- if and .Values.inferencePool.enabled (not .Values.gateway.enabled) -}}
  {{- fail "inferencePool.enabled: it is the gateway that asks the picker. Set gateway.enabled to true, with a gateway that supports InferencePool (docs/gateways.md), or inferencePool.enabled to false." -}}
{{- end -}}
{{- include "firstword.loadTestChecks" . -}}
{{- end -}}

{{- define "firstword.hostnameChecks" -}}
{{- if and .Values.gateway.enabled (not .Values.gateway.parentRefs) -}}
  {{- fail "gateway.parentRefs: name the Gateway that the routes belong to, e.g. `- {name: my-gateway, namespace: gateways}`." -}}
{{- end -}}
{{- $hostnames := dict -}}
{{- range $pool := fromJsonArray (include "firstword.pools" .) -}}
  {{- $way := ternary "gateway.enabled" "ingress.enabled" $.Values.gateway.enabled -}}
  {{- if and (or $.Values.gateway.enabled $.Values.ingress.enabled) (not $pool.hostname) -}}
    {{- fail (printf "pools, %q: hostname is empty, and %s needs one for each pool: `model` never chooses between pools." $pool.name $way) -}}
  {{- end -}}
  {{- with $pool.hostname -}}
    {{- if hasKey $hostnames . -}}
      {{- fail (printf "pools: %q and %q have the same hostname %s; give each its own. To split turns between pools, use gateway.splits." (index $hostnames .) $pool.name .) -}}
    {{- end -}}
    {{- $_ := set $hostnames . $pool.name -}}
  {{- end -}}
{{- end -}}
{{- end -}}

{{- define "firstword.splitChecks" -}}
{{- $pools := list -}}
{{- $hostnames := list -}}
{{- range fromJsonArray (include "firstword.pools" .) -}}
  {{- $pools = append $pools .name -}}
  {{- $hostnames = append $hostnames .hostname -}}
{{- end -}}
{{- if and .Values.gateway.splits (not .Values.gateway.enabled) -}}
  {{- fail "gateway.splits: they are HTTPRoutes; set gateway.enabled to true." -}}
{{- end -}}
{{- $names := list -}}
{{- range $split := .Values.gateway.splits -}}
  {{- if has $split.name $names -}}
    {{- fail (printf "gateway.splits: two are named %q; each needs a name of its own." $split.name) -}}
  {{- end -}}
  {{- $names = append $names $split.name -}}
  {{- if has (printf "split-%s" $split.name) $pools -}}
    {{- fail (printf "gateway.splits, %q: its route would have the name of the pool %q; rename one." $split.name (printf "split-%s" $split.name)) -}}
  {{- end -}}
  {{- if has $split.hostname $hostnames -}}
    {{- fail (printf "gateway.splits, %q: the hostname %s is taken; it needs one of its own." $split.name $split.hostname) -}}
  {{- end -}}
  {{- $hostnames = append $hostnames $split.hostname -}}
  {{- $sum := 0 -}}
  {{- range $split.shares -}}
    {{- if not (has .pool $pools) -}}
      {{- fail (printf "gateway.splits, %q: there is no pool %q; there is %s." $split.name .pool (join ", " $pools)) -}}
    {{- end -}}
    {{- $sum = add $sum .weight -}}
  {{- end -}}
  {{- if eq (int $sum) 0 -}}
    {{- fail (printf "gateway.splits, %q: all weights are 0, so nobody would be served; give one more than 0." $split.name) -}}
  {{- end -}}
{{- end -}}
{{- end -}}

{{- define "firstword.autoscalingChecks" -}}
{{- $scaling := .pool.autoscaling -}}
{{- if $scaling.enabled -}}
  {{- if not .root.Values.prometheus.url -}}
    {{- fail (printf "%s: autoscaling is on and asks Prometheus: set prometheus.url, e.g. http://prometheus-operated.monitoring.svc:9090." .at) -}}
  {{- end -}}
  {{- if le (float64 $scaling.turnsPerSecond) 0.0 -}}
    {{- fail (printf "%s: autoscaling.turnsPerSecond is 0. Set it to what the launch report says to autoscale on (docs/launch.md, step 4): a replica carries that many turns a second." .at) -}}
  {{- end -}}
  {{- if gt (int $scaling.minReplicas) (int $scaling.maxReplicas) -}}
    {{- fail (printf "%s: autoscaling.minReplicas is %d and maxReplicas %d; the least cannot be above the most." .at (int $scaling.minReplicas) (int $scaling.maxReplicas)) -}}
  {{- end -}}
  {{- range $scaling.cron -}}
    {{- if gt (int .replicas) (int $scaling.maxReplicas) -}}
      {{- fail (printf "%s: autoscaling.cron asks for %d replicas, and maxReplicas is %d: raise maxReplicas or ask for fewer." $.at (int .replicas) (int $scaling.maxReplicas)) -}}
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- end -}}

{{- define "firstword.loadTestChecks" -}}
{{- $test := .Values.loadTest -}}
{{- if $test.enabled -}}
  {{- $pools := list -}}
  {{- range fromJsonArray (include "firstword.pools" .) -}}{{- $pools = append $pools .name -}}{{- end -}}
  {{- if and $test.pool (not (has $test.pool $pools)) -}}
    {{- fail (printf "loadTest.pool: there is no pool %q; there is %s." $test.pool (join ", " $pools)) -}}
  {{- end -}}
  {{- /* With a number for each upgrade to come. */ -}}
  {{- $longest := printf "%s-loadtest-9999-workers" (include "firstword.fullname" .) -}}
  {{- if gt (len $longest) 63 -}}
    {{- fail (printf "loadTest.enabled: its Jobs would be named like %s, %d characters long, and 63 is the most: install the release under a shorter name, or set loadTest.enabled to false." $longest (len $longest)) -}}
  {{- end -}}
{{- end -}}
{{- end -}}
