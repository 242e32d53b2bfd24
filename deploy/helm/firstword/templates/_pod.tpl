{{/*
The pod of a replica. Takes {root, pool, role: server | worker}. A worker runs on the second and later nodes of a replica with `nodes`
above 1.

There is no preStop hook: the service itself keeps serving during the lameduck, until proxies stop sending turns (docs/operations.md, "A
restart that loses nothing").
*/}}
{{- define "firstword.podTemplate" -}}
{{- $pool := .pool -}}
{{- $isServer := eq .role "server" -}}
metadata:
  labels:
    {{- include "firstword.podLabels" . | nindent 4 }}
  annotations:
    kubectl.kubernetes.io/default-container: firstword
    # The checksum excludes adapters with a path and API keys, because their changes need no restart.
    firstword.io/config: {{ include "firstword.config" (dict "root" .root "pool" $pool "forChecksum" true) | sha256sum | quote }}
    {{- with $pool.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "firstword.fullname" .root }}
  automountServiceAccountToken: false
  # A Service named firstword-… would put FIRSTWORD_… variables into the pod.
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ int $pool.graceSeconds }}
  {{- with .root.Values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $pool.runtimeClassName }}
  runtimeClassName: {{ . | quote }}
  {{- end }}
  {{- with $pool.priorityClassName }}
  priorityClassName: {{ . | quote }}
  {{- end }}
  {{- include "firstword.placement" . | nindent 2 }}
  securityContext:
    {{- include "firstword.podSecurity" .root | nindent 4 }}
  {{- if $pool.downloads }}
  initContainers:
    - name: fetch
      {{- include "firstword.containerBasics" $pool | nindent 6 }}
      args:
        {{- include "firstword.fetchArgs" $pool | nindent 8 }}
      env:
        {{- include "firstword.cacheEnv" $pool | nindent 8 }}
        {{- with $pool.cache.tokenSecret }}
        - name: HF_TOKEN
          valueFrom:
            secretKeyRef: { name: {{ . | quote }}, key: {{ $pool.cache.tokenKey | quote }} }
        {{- end }}
        {{- with $pool.env }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      # The same as the server's without GPUs. It runs before the server, so the pod requests no more, and a quota of limits accepts it.
      resources:
        {{- include "firstword.resourcesWithoutGpus" $pool | nindent 8 }}
      volumeMounts:
        - { name: cache, mountPath: /cache }
        - { name: tmp, mountPath: /tmp }
  {{- end }}
  containers:
    - name: firstword
      {{- include "firstword.containerBasics" $pool | nindent 6 }}
      args: [{{ ternary "serve" "worker" $isServer }}]
      env:
        - { name: FIRSTWORD_CONFIG, value: /etc/firstword/config/config.yaml }
        {{- if gt (int $pool.nodes) 1 }}
        {{- include "firstword.nodesEnv" . | nindent 8 }}
        {{- end }}
        {{- include "firstword.cacheEnv" $pool | nindent 8 }}
        # The init container has downloaded everything, so the start needs no network.
        - { name: HF_HUB_OFFLINE, value: "1" }
        {{- with $pool.env }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      resources:
        {{- include "firstword.resources" $pool | nindent 8 }}
      {{- if $isServer }}
      ports:
        - { name: http, containerPort: {{ include "firstword.port" . }} }
        - { name: metrics, containerPort: {{ include "firstword.metricsPort" . }} }
      {{- include "firstword.probes" $pool | nindent 6 }}
      {{- end }}
      volumeMounts:
        - { name: config, mountPath: /etc/firstword/config, readOnly: true }
        {{- if $isServer }}
        # Mount the folder and never a subPath: a subPath does not follow the Secret, so keys could not change while serving.
        - { name: keys, mountPath: /etc/firstword/keys, readOnly: true }
        {{- end }}
        - { name: cache, mountPath: /cache }
        - { name: tmp, mountPath: /tmp }
        - { name: shm, mountPath: /dev/shm }
  volumes:
    - name: config
      configMap: { name: {{ $pool.fullname }} }
    {{- if $isServer }}
    - name: keys
      secret:
        secretName: {{ include "firstword.keysSecret" .root | quote }}
        items: [{ key: {{ .root.Values.keys.fileKey | quote }}, path: keys.yaml }]
        defaultMode: 0440
    {{- end }}
    {{- include "firstword.cacheVolume" $pool | nindent 4 }}
    - name: tmp
      emptyDir: {}
    - name: shm
      emptyDir: { medium: Memory, sizeLimit: {{ int $pool.shmGiB }}Gi }
{{- end -}}

{{- define "firstword.podLabels" -}}
{{- if eq .role "server" -}}
{{ include "firstword.selectorLabels" . }}
{{- else -}}
app.kubernetes.io/name: firstword
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
app.kubernetes.io/component: worker
firstword.io/pool: {{ .pool.name | quote }}
{{- end }}
{{- with .pool.podLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Common fields of a pool's containers. */}}
{{- define "firstword.containerBasics" -}}
image: {{ .imageRef | quote }}
imagePullPolicy: {{ .image.pullPolicy }}
terminationMessagePolicy: FallbackToLogsOnError
securityContext:
  {{- include "firstword.containerSecurity" . | nindent 2 }}
{{- end -}}

{{- define "firstword.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end -}}

{{- define "firstword.podSecurity" -}}
runAsNonRoot: true
{{- if ge (int .Values.securityContext.runAsUser) 0 }}
runAsUser: {{ int .Values.securityContext.runAsUser }}
{{- end }}
{{- if ge (int .Values.securityContext.fsGroup) 0 }}
fsGroup: {{ int .Values.securityContext.fsGroup }}
# Do not change the owner of every file on the volume at each start.
fsGroupChangePolicy: OnRootMismatch
{{- end }}
seccompProfile: { type: RuntimeDefault }
{{- end -}}

{{- define "firstword.resourcesWithoutGpus" -}}
{{- $resources := deepCopy .resources -}}
{{- $isSaid := or (hasKey $resources.requests "ephemeral-storage") (hasKey $resources.limits "ephemeral-storage") -}}
{{- if and (eq .cache.type "emptyDir") (not $isSaid) -}}
  {{- /* An emptyDir reserves no disk. With this request the scheduler chooses a node with enough free disk. */ -}}
  {{- $_ := set $resources.requests "ephemeral-storage" .cache.size -}}
{{- end -}}
{{ toYaml $resources }}
{{- end -}}

{{- define "firstword.resources" -}}
{{- $resources := fromYaml (include "firstword.resourcesWithoutGpus" .) -}}
{{- if .gpu.enabled -}}
  {{- range list "requests" "limits" -}}
    {{- $_ := set $resources . (set (index $resources .) $.gpu.resource (toString (int $.gpu.count))) -}}
  {{- end -}}
{{- end -}}
{{ toYaml $resources }}
{{- end -}}

{{/* /readyz is 200 after warm-up. It does not query the engine, so load does not change it. /livez is 200 during loading too. */}}
{{- define "firstword.probes" -}}
startupProbe:
  httpGet: { path: /readyz, port: http }
  periodSeconds: 5
  timeoutSeconds: 3
  failureThreshold: {{ div (add .lifecycle.startupSeconds 4) 5 }}
readinessProbe:
  httpGet: { path: /readyz, port: http }
  periodSeconds: 5
  timeoutSeconds: 5
  failureThreshold: 3
livenessProbe:
  httpGet: { path: /livez, port: http }
  periodSeconds: 10
  timeoutSeconds: 10
  failureThreshold: 6
{{- end -}}
